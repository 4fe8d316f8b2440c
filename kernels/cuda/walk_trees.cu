// Walks along trees by the tokens that were chosen for their rows, as the engine does (src/NativeSpec/Speculation/Verification/Verifier.cs): from the
// root on to the child that has the token chosen after its parent, as far as there is one. What the path's keys and values have to be moved for, so
// that they lie behind the prefix, goes to move_kv_rows.
//
// A warp per tree. All that the walk looks at is fetched at once, since a step that had to ask memory would take as long as everything else.
#include "operations.h"

namespace nativespec::cuda {
namespace {

/// Whether something can be chosen from a row with this highest logit.
NS_DEVICE bool IsFinite(float highest) { return (BitsOf(highest) & 0x7f800000u) != 0x7f800000u; }

constexpr int kNothing = -2;  // can be chosen from a row

/// What is known of a tree's nodes.
struct Nodes {
  int count;
  int32_t* parents;  // −1: never on a path
  int32_t* tokens;
  int32_t* chosen;
  int32_t* path;

  /// The first child of a node that has the token chosen after it; past the end where there is none, or nothing can be chosen from its row: the host
  /// says what is wrong with that. The same on each lane.
  NS_DEVICE int Next(int node) const {
    const int token = chosen[node];
    uint32_t next = (uint32_t)count;
    for (int child = node + 1 + Lane(); child < count && next == (uint32_t)count; child += 32) {
      next = parents[child] == node && tokens[child] == token ? (uint32_t)child : next;
    }
    NS_UNROLL
    for (int lanes = 16; lanes > 0; lanes /= 2) {
      const uint32_t other = ShuffleXor(next, lanes);
      next = other < next ? other : next;
    }
    return next < (uint32_t)count && chosen[next] == kNothing ? count : (int)next;
  }
};

NS_DEVICE void WalkTree(const WalkTreesArguments& a, int index) {
  const RowList tree = a.trees[index];
  int32_t* shared = (int32_t*)SharedMemory();
  const Nodes nodes{tree.count, shared, shared + tree.count, shared + 2 * tree.count, shared + 3 * tree.count};
  for (int node = Lane(); node < tree.count; node += 32) {
    const RowAnswer answer = a.answers[tree.first + node];
    nodes.parents[node] = a.parents[tree.first + node];
    nodes.tokens[node] = a.tokens[a.logit_rows[tree.first + node]];
    nodes.chosen[node] = IsFinite(answer.highest) ? answer.chosen : kNothing;
  }
  SyncWarp();
  // Nodes of the path grow, so once one does not lie in its place none behind it does.
  int length = 0, in_place = 0;
  for (int node = 0; node < tree.count; node = nodes.Next(node)) {
    if (Lane() == 0) {
      nodes.path[length] = node;
    }
    in_place += node == length;
    ++length;
  }
  SyncWarp();
  for (int i = Lane(); i < tree.count; i += 32) {
    a.paths[tree.first + i] = i < length ? nodes.path[i] : -1;
    if (i >= in_place && i < length) {
      a.moves[tree.first + i] = {a.kv_rows[a.logit_rows[tree.first + nodes.path[i]]], a.kv_rows[a.logit_rows[tree.first + i]]};
    }
  }
  if (Lane() == 0) {
    a.lists[index] = {tree.first + in_place, length - in_place};
  }
}

}  // namespace
}  // namespace nativespec::cuda

NS_KERNEL(32, 1) walk_trees(const nativespec::cuda::WalkTreesArguments a) {
  using namespace nativespec::cuda;
  AllowKernelBehind();
  WaitForKernelInFront();
  if (BlockIndex() < *a.tree_count) {
    WalkTree(a, BlockIndex());
  }
}
