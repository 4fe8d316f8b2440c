// The steps that a block of tree_attention walks: a page of keys and values of one KV head each, which the first warp asks for ahead of time.
#pragma once

#include "operations.h"
#include "ring.h"

namespace nativespec::cuda {

/// Heads of a width over keys and values of a format.
template <int Width, Format Kv>
struct AttentionShape {
  static constexpr Format kFormat = Kv;
  static constexpr int kWidth = Width, kParts = KvParts(Kv);
  static constexpr int kPieces = Width / 8, kRowPieces = kParts * kPieces;  // of a part of a row, and of a row
  static constexpr int kRowBytes = AttentionRowBytes(Width, Kv), kSixteen = 16 * kRowBytes, kPlaneBytes = kStepKeys * kRowBytes;
  static constexpr int kStagePlanes = AttentionStagePlanes(kRowBytes), kStageBytes = kStagePlanes * kPlaneBytes;

  /// The place of a 16-byte piece of a row in shared memory, exchanged as in the cache.
  static NS_DEVICE int Piece(int row, int piece) { return row * kRowBytes + piece / 8 * 128 + ((piece ^ row) & 7) * 16; }
};

/// The cache row of a row's key at a position; past the row's own position, its own.
NS_DEVICE int KeyRow(const TreeAttentionArguments& a, int row, int position) {
  const int own = a.positions[row], trunk = a.trunk[row], p = position < own ? position : own;
  return p < trunk ? a.pages[a.page_start[row] + p / kPageRows] * kPageRows + p % kPageRows : a.path_rows[a.path_start[row] + p - trunk];
}

/// An item with positions as the batch counts them.
struct OpenItem {
  int pages, unit, first, rows;
  int begin, end;  // of the positions in the unit that a row sees; the first is a multiple of 64
  int slots;       // from here keys lie elsewhere for one of the rows; 0 where all of the unit's do
  int sees_all;    // the last position that every row sees, or one before the unit
};

NS_DEVICE OpenItem LoadItem(const AttentionItem* item) {
  const Vector bits = LoadVector(item);
  const int unit = bits.y & 0xffff, from = UnitBegin(unit), slots = bits.w & 0xffff;
  return {(int)bits.x,
          unit,
          (int)(bits.y >> 16),
          (int)(bits.z & 0xff),
          from + (int)(bits.z >> 8 & 0xff) * kStepKeys,
          from + (int)(bits.z >> 16),
          slots == 0 ? 0 : from + slots,
          from + (int)(bits.w >> 16) - 1};
}

/// A block's work: KV heads of items, and in each its steps, of which the ring's stages are the whole or one plane after the other.
template <class Shape>
struct StepWalk {
  const TreeAttentionArguments& a;
  int index, position, plane = 0;
  OpenItem item;
  int work;

  // The first item is asked for before it is known whether there is one: two loads at once instead of one after the other.
  NS_DEVICE explicit StepWalk(const TreeAttentionArguments& arguments)
      : a(arguments), index(BlockIndex()), item(LoadItem(a.items + (index / a.kv_heads < a.most_items ? index / a.kv_heads : 0))), work(*a.item_count * a.kv_heads) {
    position = item.begin;
  }
  NS_DEVICE bool Done() const { return index >= work; }
  NS_DEVICE void Begin() {
    if (!Done()) {
      item = LoadItem(a.items + index / a.kv_heads);
      position = item.begin;
    }
  }
  NS_DEVICE void Next() {
    plane += Shape::kStagePlanes;
    if (plane < 2) {
      return;
    }
    plane = 0;
    position += kStepKeys;
    if (position >= item.end) {
      index += Blocks();
      Begin();
    }
  }
};

/// Asks for a stage of keys and values, once everybody has left what it held.
template <class Shape>
NS_DEVICE void FillStage(const StepWalk<Shape>& walk, const Ring& ring, const RingPlace& place) {
  const TreeAttentionArguments& a = walk.a;
  // A step past all slots has no page of its own; its keys are all gathered.
  const int slots = walk.item.slots, page = walk.position < slots ? walk.position / kPageRows : slots > 0 ? (slots - 1) / kPageRows : 0;
  const int64_t offset = ((int64_t)a.pages[walk.item.pages + page] * a.kv_heads + walk.index % a.kv_heads) * Shape::kPlaneBytes;
  Barrier* full = ring.Full(place.slot);
  BarrierWait(ring.Empty(place.slot), place.round ^ 1);
  FillBegin(full, Shape::kStageBytes);
  NS_UNROLL
  for (int i = 0; i < Shape::kStagePlanes; ++i) {
    FillCopy<true>(ring.Stage(place.slot) + i * Shape::kPlaneBytes, (walk.plane + i == 0 ? a.keys : a.values) + offset, Shape::kPlaneBytes, full);
  }
  FillEnd(full);
}

/// The stages of a block's walk: the first warp asks for each while the one before is read, and all warps read them in turn.
template <class Shape>
struct StepStages {
  const Ring& ring;
  StepWalk<Shape> ahead;
  RingPlace ahead_place, place;

  NS_DEVICE StepStages(const TreeAttentionArguments& a, const Ring& its_ring) : ring(its_ring), ahead(a) {}

  NS_DEVICE void Ask() {
    if (Warp() == 0 && !ahead.Done()) {
      FillStage(ahead, ring, ahead_place);
      ahead.Next();
      ahead_place.Next(ring);
    }
  }
  /// Waits for the next stage: a step's keys, or all of it.
  NS_DEVICE const uint8_t* Await() {
    Ask();
    BarrierWait(ring.Full(place.slot), place.round);
    return ring.Stage(place.slot);
  }
  /// Gives the stage back, once the warp has read it.
  NS_DEVICE void Leave() {
    SyncWarp();
    if (Lane() == 0) {
      BarrierArrive(ring.Empty(place.slot));
    }
    place.Next(ring);
  }
  /// The step's values; where they are a stage of their own the keys are given back for it.
  NS_DEVICE const uint8_t* AwaitValues(const uint8_t* keys) {
    if constexpr (Shape::kStagePlanes == 2) {
      return keys + Shape::kPlaneBytes;
    } else {
      Leave();
      return Await();
    }
  }
};

}  // namespace nativespec::cuda
