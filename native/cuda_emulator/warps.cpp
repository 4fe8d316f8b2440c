// Where the lanes of a warp meet: each brings what it has, the last to come computes for all.
#include "worker.h"

namespace nativespec::emulator {
namespace {

void Finish(WarpMeeting& m, int warp) {
  const int parity = m.generation & 1;
  const auto& in = m.in[parity];
  auto& out = m.out[parity];
  auto word = [&](int lane, int i) {
    uint32_t value;
    std::memcpy(&value, in[lane] + i * 4, 4);
    return value;
  };
  auto give = [&](int lane, int i, uint32_t value) { std::memcpy(out[lane] + i * 4, &value, 4); };
  switch (m.meeting) {
    case Meeting::kSync:
      break;
    case Meeting::kShuffleXor:
      for (int lane = 0; lane < 32; ++lane) {
        give(lane, 0, word(lane ^ static_cast<int>(word(lane, 1)), 0));
      }
      break;
    case Meeting::kShuffleFrom:
      for (int lane = 0; lane < 32; ++lane) {
        give(lane, 0, word(static_cast<int>(word(lane, 1)) & 31, 0));
      }
      break;
    case Meeting::kAny: {
      uint32_t any = 0;
      for (int lane = 0; lane < 32; ++lane) {
        any |= word(lane, 0);
      }
      for (int lane = 0; lane < 32; ++lane) {
        give(lane, 0, any);
      }
      break;
    }
    case Meeting::kMatrixBF16:
    case Meeting::kMatrixF16:
      MultiplyTile(in, m.meeting == Meeting::kMatrixBF16, out);
      break;
    case Meeting::kLoadMatrices:
      for (int lane = 0; lane < 32; ++lane) {
        for (int i = 0; i < 4; ++i) {
          give(lane, i, word(i * 8 + lane / 4, lane % 4));
        }
      }
      break;
    case Meeting::kLoadMatricesTransposed:
      for (int lane = 0; lane < 32; ++lane) {
        for (int i = 0; i < 4; ++i) {
          auto half = [&](int row) { return word(i * 8 + row, lane / 8) >> (lane / 4 % 2 * 16) & 0xffffu; };
          give(lane, i, half(lane % 4 * 2) | half(lane % 4 * 2 + 1) << 16);
        }
      }
      break;
    case Meeting::kGroupProducts:
      MultiplyGroups(warp, static_cast<int>(word(0, 0)));
      break;
  }
  worker->ready[static_cast<size_t>(warp)] |= m.arrived;
  m.arrived = 0;
  ++m.generation;
}

}  // namespace

uint8_t* Arrive(Meeting meeting, int line) {
  const int self = worker->current;
  WarpMeeting& m = worker->warps[static_cast<size_t>(self / 32)];
  if (m.arrived == 0) {
    m.meeting = meeting;
    m.line = line;
  } else if (m.meeting != meeting || m.line != line) {
    Fault("lanes of a warp meet at different instructions");
  }
  return m.in[m.generation & 1][self & 31];
}

const uint8_t* Leave() {
  const int self = worker->current;
  WarpMeeting& m = worker->warps[static_cast<size_t>(self / 32)];
  const int parity = m.generation & 1;
  m.arrived |= 1u << (self & 31);
  GiveAway(m.in[parity]);
  if (m.arrived == ~0u) {
    Take(m.in[parity]);
    Finish(m, self / 32);
    GiveAway(m.out[parity]);
  } else {
    Block();
  }
  Take(m.out[parity]);
  return m.out[parity][self & 31];
}

void GroupWait(int groups, int line) {
  std::memcpy(Arrive(Meeting::kGroupProducts, line), &groups, 4);
  Leave();
}

}  // namespace nativespec::emulator
