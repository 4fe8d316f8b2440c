// What the kernels' headers say of sizes and launches, for a test that compares it with what a host says.
#include <cstdint>
#include <initializer_list>
#include <string>

#include "../tests/cuda/launch_shapes.h"

using namespace nativespec::cuda;

/// Writes up to eight answers and returns how many there are, 0 for a question that is not known. Questions, their numbers and their answers:
///     product    format, out, in, gate and up, bucket, multiprocessors, shared bytes of one   stages, segments, bytes of the weight, rows and number of row blocks, ring, grid, shared bytes
///     rows       columns, rows of the bucket                                                  filled columns, bytes of packed rows, threads and shared bytes of a norm, blocks that finish a row
///     place      row, column, rows of the bucket                                              where the number lies among packed ones
///     attention  heads, KV heads, width, multiprocessors, format of keys and values           grid and shared bytes of the rotation, grid and shared bytes of attention, grid of its fold
///     unit       position                                                                     its unit, where that begins and ends
///     choice     vocabulary                                                                   threads and shared bytes of choose, threads and shared bytes of top_k
///     walk                                                                                    shared bytes for each row of a tree, blocks for lists of moves
extern "C" __attribute__((visibility("default"))) int nativespecCudaLaunchShape(const char* question, const int32_t* n, int64_t* answers) {
  auto answer = [&](std::initializer_list<int64_t> values) {
    std::copy(values.begin(), values.end(), answers);
    return static_cast<int>(values.size());
  };
  const std::string asked = question;
  if (asked == "product") {
    const auto format = static_cast<Format>(n[0]);
    const int stages = StagesOf(format, n[2]), segments = SegmentsOf(n[1], stages, n[3] != 0);
    const ProductShape shape = ShapeOfMatMul(format, n[1], segments, n[4], n[5], n[6]);
    return answer({stages, segments, int64_t{Slabs(n[1])} * stages * Sizes(format).stage_bytes, shape.rows, shape.row_blocks, shape.ring, shape.grid, shape.shared_bytes});
  }
  if (asked == "rows") {
    return answer({FilledColumns(n[0]), ActivationBytes(n[0], n[1] / 8), NormThreads(n[0]), NormBytes(n[0]), FinishBlocks(n[0])});
  }
  if (asked == "place") {
    return answer({ActivationPiece(n[0], n[1], n[2] / 8) * 8 + n[1] % 8});
  }
  if (asked == "attention") {
    return answer({RotationGrid(n[0], n[1]), kRotationBytes, AttentionGrid(n[3]), AttentionBytes(n[2], static_cast<Format>(n[4])), FoldGrid(n[0])});
  }
  if (asked == "unit") {
    const int unit = UnitOf(n[0]);
    return answer({unit, UnitBegin(unit), UnitBegin(unit + 1)});
  }
  if (asked == "choice") {
    return answer({ChooseThreads(n[0]), kChooseBytes, kTopKThreads, kTopKBytes});
  }
  if (asked == "walk") {
    return answer({kWalkBytes, kMoveBlocks});
  }
  return 0;
}
