// Copies cache rows, those of a list in the order given: a later copy sees what an earlier one wrote. A thread has its pieces to itself in every row.
#include "operations.h"

NS_KERNEL(256, 1) move_kv_rows(const nativespec::cuda::MoveKvRowsArguments a) {
  using namespace nativespec::cuda;
  AllowKernelBehind();
  WaitForKernelInFront();
  Vector* plane = (Vector*)a.planes[BlockIndex()];
  const int lists = a.list_count != nullptr ? *a.list_count : 1, pieces = a.width / 8;
  for (int list = BlockIndexY(); list < lists; list += kMoveBlocks) {
    const RowList moves = a.lists[list];
    for (int i = moves.first; i < moves.first + moves.count; ++i) {
      const KvMove move = a.moves[i];
      for (int j = ThreadIndex(); j < a.kv_heads * pieces; j += BlockThreads()) {
        plane[KvPiece(move.to, j / pieces, j % pieces, a.kv_heads, a.width)] = plane[KvPiece(move.from, j / pieces, j % pieces, a.kv_heads, a.width)];
      }
    }
  }
}
