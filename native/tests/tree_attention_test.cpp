// RoPE and tree attention together, as they run: random trees after random prefixes on pages in random order, against float64 softmax
// over each node's own path; and a node's bits alone and among others.
#include <numeric>

#include "check.h"
#include "steps.h"

using check::Random;

namespace {

constexpr int kLayers = 2, kLayer = 1, kPages = 6, kPage = 64;

struct Tree {
  std::vector<int32_t> parents, positions;
};

struct Case {
  int prefix, nodes, head_dim, kv_heads, group;
  int32_t type;
  bool prompt = false;  // the nodes are a prompt's tokens, each in its own slot, and not a tree's
  int window = 0;       // 0: all is seen
  int unturned = 0;     // elements at a head's end that are not rotated
  bool norms = false;   // of each head of q and k, before they turn

  int rotary() const { return head_dim - unturned; }
  int heads() const { return kv_heads * group; }
  int stride() const { return (heads() + 2 * kv_heads) * head_dim; }
};

/// The arrays that an ns_batch points into.
struct Batch {
  std::vector<int32_t> tokens, positions, kv_rows, trunk, page_start, pages, path_start, path_rows;
  std::vector<float> cos, sin;  // by position
  int32_t angles = 0;

  ns_batch View() const {
    ns_batch view{};
    view.positions = positions.data();
    view.kv_rows = kv_rows.data();
    view.trunk = trunk.data();
    view.page_start = page_start.data();
    view.pages = pages.data();
    view.path_start = path_start.data();
    view.path_rows = path_rows.data();
    view.cos = cos.data();
    view.sin = sin.data();
    view.angle_positions = angles;
    view.rows = static_cast<int32_t>(positions.size());
    view.page_count = static_cast<int32_t>(pages.size());
    view.path_count = static_cast<int32_t>(path_rows.size());
    return view;
  }
};

double Angle(int position, int i) { return position * std::pow(0.7, i); }

int Row(const std::vector<int32_t>& pages, int slot) { return pages[slot / kPage] * kPage + slot % kPage; }

/// Nodes [first, last) of a tree whose node i is stored in slot prefix + i.
Batch MakeBatch(const Case& c, const Tree& tree, const std::vector<int32_t>& pages, int first, int last) {
  Batch batch;
  batch.pages = pages;
  for (int node = first; node < last; ++node) {
    batch.positions.push_back(tree.positions[node]);
    batch.kv_rows.push_back(Row(pages, c.prefix + node));
    batch.page_start.push_back(0);
    batch.path_start.push_back(static_cast<int32_t>(batch.path_rows.size()));
    const bool in_trunk = node == 0 || c.prompt;
    batch.trunk.push_back(in_trunk ? c.prefix + node + 1 : c.prefix);
    std::vector<int32_t> path;
    for (int at = node; !in_trunk && at >= 0; at = tree.parents[at]) {
      path.insert(path.begin(), Row(pages, c.prefix + at));
    }
    batch.path_rows.insert(batch.path_rows.end(), path.begin(), path.end());
    batch.angles = std::max(batch.angles, tree.positions[node] + 1);
  }
  for (int position = 0; position < batch.angles; ++position) {
    for (int i = 0; i < c.rotary() / 2; ++i) {
      batch.cos.push_back(static_cast<float>(std::cos(Angle(position, i))));
      batch.sin.push_back(static_cast<float>(std::sin(Angle(position, i))));
    }
  }
  return batch;
}

double Gain(int i) { return 0.5 + 0.125 * (i % 9); }

std::vector<double> Turned(const Case& c, const float* from, int position) {
  std::vector<double> x(from, from + c.head_dim);
  const double squares = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
  for (int i = 0; c.norms && i < c.head_dim; ++i) {
    x[i] *= Gain(i) / std::sqrt(squares / c.head_dim + 1e-5);
  }
  auto result = x;
  for (int i = 0, half = c.rotary() / 2; i < half; ++i) {
    const double a = x[i], b = x[half + i], cos = std::cos(Angle(position, i)), sin = std::sin(Angle(position, i));
    result[i] = a * cos - b * sin;
    result[half + i] = b * cos + a * sin;
  }
  return result;
}

/// all: [prefix + nodes, stride] before rotation.
std::vector<double> Reference(const Case& c, const Tree& tree, const std::vector<float>& all) {
  std::vector<double> y;
  for (int node = 0; node < c.nodes; ++node) {
    std::vector<std::pair<int, int>> seen;  // row of all, position
    for (int p = 0; p < c.prefix; ++p) {
      seen.push_back({p, p});
    }
    for (int at = node; at >= 0; at = tree.parents[at]) {
      seen.push_back({c.prefix + at, tree.positions[at]});
    }
    const int position = tree.positions[node];
    std::erase_if(seen, [&](const auto& key) { return c.window > 0 && key.second <= position - c.window; });
    for (int head = 0; head < c.heads(); ++head) {
      const auto q = Turned(c, &all[(c.prefix + node) * c.stride() + head * c.head_dim], tree.positions[node]);
      std::vector<double> scores;
      double most = -INFINITY, total = 0;
      for (const auto& [row, position] : seen) {
        const auto k = Turned(c, &all[row * c.stride() + (c.heads() + head / c.group) * c.head_dim], position);
        scores.push_back(std::inner_product(q.begin(), q.end(), k.begin(), 0.0) / std::sqrt(c.head_dim));
        most = std::fmax(most, scores.back());
      }
      std::vector<double> sum(c.head_dim);
      for (size_t j = 0; j < seen.size(); ++j) {
        const double weight = std::exp(scores[j] - most);
        total += weight;
        for (int d = 0; d < c.head_dim; ++d) {
          sum[d] += weight * all[seen[j].first * c.stride() + (c.heads() + c.kv_heads + head / c.group) * c.head_dim + d];
        }
      }
      for (const double value : sum) {
        y.push_back(value / total);
      }
    }
  }
  return y;
}

void Check(ns_backend* backend, const std::string& level, const Case& c, Random& random) {
  std::vector<uint8_t> memory(static_cast<size_t>(2) * kLayers * kPages * kPage * c.kv_heads * c.head_dim * 4);
  const ns_kv kv{memory.data(), kPages * kPage, kLayers, c.heads(), c.kv_heads, c.head_dim, c.type, 0};
  std::vector<int32_t> pages(kPages);
  std::iota(pages.begin(), pages.end(), 0);
  for (int i = kPages - 1; i > 0; --i) {
    std::swap(pages[i], pages[random.Below(i + 1)]);
  }

  std::vector<float> gain(c.head_dim);
  for (int i = 0; i < c.head_dim; ++i) {
    gain[i] = static_cast<float>(Gain(i));
  }
  const float* gains = c.norms ? gain.data() : nullptr;
  const steps::Attention attention{c.rotary(), c.window, gains, gains};
  const auto all = random.Floats(int64_t{c.prefix + c.nodes} * c.stride());
  Case alone = c;
  for (int position = 0; position < c.prefix; ++position) {
    alone.prefix = position;
    const Batch batch = MakeBatch(alone, {{-1}, {position}}, pages, 0, 1);
    const ns_batch view = batch.View();
    std::vector<float> qkv(all.begin() + position * c.stride(), all.begin() + (position + 1) * c.stride());
    CHECK_OK(steps::Rope(backend, &view, qkv.data(), &kv, kLayer, attention));
  }

  Tree tree;
  for (int node = 0; node < c.nodes; ++node) {
    tree.parents.push_back(node == 0 || c.prompt ? node - 1 : static_cast<int32_t>(random.Below(node)));
    tree.positions.push_back(node == 0 ? c.prefix : tree.positions[tree.parents[node]] + 1);
  }

  const Batch batch = MakeBatch(c, tree, pages, 0, c.nodes);
  const ns_batch view = batch.View();
  std::vector<float> qkv(all.begin() + c.prefix * c.stride(), all.end()), y(static_cast<size_t>(c.nodes) * c.heads() * c.head_dim);
  CHECK_OK(steps::Rope(backend, &view, qkv.data(), &kv, kLayer, attention));
  CHECK_OK(steps::Attend(backend, &view, qkv.data(), &kv, kLayer, y.data(), c.window));
  // A BF16 cache rounds keys and values to 2^-9 of each.
  CHECK_CLOSE(level, y, Reference(c, tree, all), c.type == NS_BF16 ? 0.02 : 5e-6);

  std::vector<float> one(static_cast<size_t>(c.heads()) * c.head_dim);
  for (int node = 0; node < c.nodes; ++node) {
    const Batch single = MakeBatch(c, tree, pages, node, node + 1);
    const ns_batch single_view = single.View();
    CHECK_OK(steps::Attend(backend, &single_view, qkv.data() + node * c.stride(), &kv, kLayer, one.data(), c.window));
    CHECK(std::memcmp(one.data(), &y[node * one.size()], one.size() * sizeof(float)) == 0);
  }

  // Moving the last node's row to the first slot in every layer.
  const int32_t from = Row(pages, c.prefix + c.nodes - 1), to = Row(pages, 0);
  CHECK_OK(ns_move_kv_rows(&kv, &from, &to, 1));
  const int64_t row_bytes = int64_t{c.kv_heads} * c.head_dim * (c.type == NS_BF16 ? 2 : 4), plane = kPages * kPage * row_bytes;
  for (int i = 0; i < 2 * kLayers; ++i) {
    CHECK(std::memcmp(&memory[i * plane + from * row_bytes], &memory[i * plane + to * row_bytes], static_cast<size_t>(row_bytes)) == 0);
  }
}

}  // namespace

int main() {
  check::OnEveryLevel([](ns_backend* backend, const std::string& level) {
    CHECK_OK(ns_backend_set_smallest_chunk(backend, 1));  // or these few queries would all be one thread's
    Random random(7);
    for (const int32_t type : {NS_F32, NS_BF16}) {
      for (const int prefix : {0, 31, 130}) {
        for (const int nodes : {1, 2, 9}) {
          Check(backend, level, {prefix, nodes, 18, 2, 3, type}, random);
        }
      }
      Check(backend, level, {70, 6, 64, 1, 20, type}, random);
      Check(backend, level, {33, 4, 80, 3, 1, type}, random);
      Check(backend, level, {20, 70, 32, 1, 2, type, true}, random);
      for (const int window : {1, 5, 31, 32, 33, 64, 200}) {
        Check(backend, level, {130, 9, 18, 2, 3, type, false, window}, random);
        Check(backend, level, {20, 70, 32, 1, 2, type, true, window, 8, true}, random);
      }
      Check(backend, level, {40, 5, 24, 2, 2, type, false, 0, 6, true}, random);
      Check(backend, level, {40, 5, 24, 2, 2, type, false, 0, 24}, random);
    }
  });
  return check::Result();
}
