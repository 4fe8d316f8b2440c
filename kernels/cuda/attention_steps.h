// The steps that a block of tree_attention walks: a page of keys and values of one KV head each, which the first warp asks for ahead of time.
#pragma once

#include "operations.h"
#include "ring.h"

namespace nativespec::cuda {

template <int Width>
struct AttentionShape {
  static constexpr int kPieces = Width / 8, kRowBytes = Width * 2, kPlaneBytes = kStepKeys * kRowBytes, kStageBytes = 2 * kPlaneBytes;
  static constexpr int kSixteen = 16 * kRowBytes;
};

/// The cache row of a row's key at a position; past the row's own position, its own.
NS_DEVICE int KeyRow(const TreeAttentionArguments& a, int row, int position) {
  const int own = a.positions[row], trunk = a.trunk[row], p = position < own ? position : own;
  return p < trunk ? a.pages[a.page_start[row] + p / kPageRows] * kPageRows + p % kPageRows : a.path_rows[a.path_start[row] + p - trunk];
}

NS_DEVICE AttentionItem LoadItem(const AttentionItem* item) {
  const Vector low = LoadVector(item), high = LoadVector((const Vector*)item + 1);
  return {(int)low.x, (int)low.y, (int)low.z, (int)low.w, (int)high.x, (int)high.y, (int)high.z, (int)high.w};
}

/// A block's work: KV heads of items, and in each its steps.
struct StepWalk {
  const TreeAttentionArguments& a;
  int index, position;
  AttentionItem item;
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
    position += kStepKeys;
    if (position >= item.end) {
      index += Blocks();
      Begin();
    }
  }
};

/// Asks for a step's keys and values, once everybody has left what the stage held.
template <int Width>
NS_DEVICE void FillStep(const StepWalk& walk, const Ring& ring, const RingPlace& place) {
  using Shape = AttentionShape<Width>;
  const TreeAttentionArguments& a = walk.a;
  // A step past all slots has no page of its own; its keys are all gathered.
  const int slots = walk.item.slots, page = walk.position < slots ? walk.position / kPageRows : slots > 0 ? (slots - 1) / kPageRows : 0;
  const int64_t offset = ((int64_t)a.pages[walk.item.pages + page] * a.kv_heads + walk.index % a.kv_heads) * Shape::kPlaneBytes;
  Barrier* full = ring.Full(place.slot);
  BarrierWait(ring.Empty(place.slot), place.round ^ 1);
  FillBegin(full, Shape::kStageBytes);
  FillCopy<true>(ring.Stage(place.slot), a.keys + offset, Shape::kPlaneBytes, full);
  FillCopy<true>(ring.Stage(place.slot) + Shape::kPlaneBytes, a.values + offset, Shape::kPlaneBytes, full);
  FillEnd(full);
}

/// The place of a 16-byte piece of a row in shared memory, exchanged as in the cache.
template <int Width>
NS_DEVICE int SharedPiece(int row, int piece) {
  return row * (Width * 2) + (piece ^ (row & 7)) * 16;
}

}  // namespace nativespec::cuda
