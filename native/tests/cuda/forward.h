// A whole forward of a Llama-like model by the kernels, with random weights: what a driver layer will do, without its host side. The conformance
// tests run small shapes of it, the benchmark true ones.
#pragma once

#include <cmath>
#include <memory>

#include "../check.h"
#include "launches.h"

namespace nativespec::cuda {

struct ModelShape {
  int layers, hidden, feed_forward, heads, kv_heads, head_width, vocabulary;
  int Width() const { return head_width <= 64 ? 64 : 128; }
  int Qkv() const { return (heads + 2 * kv_heads) * head_width; }
  /// Of its matrices.
  double Parameters() const { return static_cast<double>(hidden) * (static_cast<double>(layers) * (Qkv() + heads * head_width + 3.0 * feed_forward) + vocabulary); }
};

/// One round's rows, as the managed RowBatch has them.
struct Rows {
  std::vector<int32_t> tokens, positions, kv_rows, trunk, page_start, path_start, pages, path_rows;
  std::vector<AttentionRows> sequences;
  int count() const { return static_cast<int>(tokens.size()); }

  void Add(int token, int position, int kv_row, int in_slots, const std::vector<int32_t>& path) {
    tokens.push_back(token);
    positions.push_back(position);
    kv_rows.push_back(kv_row);
    trunk.push_back(in_slots);
    path_start.push_back(static_cast<int32_t>(path_rows.size()));
    path_rows.insert(path_rows.end(), path.begin(), path.end());
    sequences.back().rows += 1;
    sequences.back().positions.push_back(position);
    sequences.back().trunk.push_back(in_slots);
    page_start.push_back(first_page_);
  }
  void BeginSequence(const std::vector<int32_t>& its_pages) {
    first_page_ = static_cast<int32_t>(pages.size());
    pages.insert(pages.end(), its_pages.begin(), its_pages.end());
    sequences.push_back({count(), 0, first_page_, {}, {}});
  }

 private:
  int32_t first_page_ = 0;
};

class Forward {
 public:
  /// Random weights of about 1 / sqrt(width). The pool's last page takes what dead rows write.
  Forward(const ModelShape& shape, Format format, Format kv, int pages, int most_context, uint64_t seed, int most_rows = 64)
      : shape_(shape), format_(format), kv_(kv), parts_(RowParts(format)), pages_(pages), units_(UnitOf(most_context - 1) + 1), most_rows_(static_cast<size_t>(most_rows)) {
    check::Random random(seed);
    table_ = std::make_unique<DeviceArray<uint16_t>>(static_cast<size_t>(shape.vocabulary) * static_cast<size_t>(shape.hidden));
    std::vector<uint16_t> embeddings(std::min<size_t>(table_->size(), 1 << 20));
    for (uint16_t& bits : embeddings) {
      const float number = random.Float();
      uint32_t word;
      std::memcpy(&word, &number, 4);
      bits = static_cast<uint16_t>(word >> 16);
    }
    table_->Repeat(embeddings);
    std::vector<uint8_t> numbers(std::min<size_t>(1 << 20, static_cast<size_t>(pages) * kPageRows * static_cast<size_t>(shape.kv_heads * shape.Width() * KvParts(kv)) * 2));
    for (size_t i = 0; i < numbers.size(); i += 2) {  // keys and values that nobody wrote: about 1
      numbers[i] = static_cast<uint8_t>(random.Next());
      numbers[i + 1] = static_cast<uint8_t>(0x3f | (random.Below(2) << 7));
    }
    for (int layer = 0; layer < shape.layers; ++layer) {
      qkv_.push_back(RandomWeight(random, shape.Qkv(), shape.hidden, false));
      o_.push_back(RandomWeight(random, shape.hidden, shape.heads * shape.head_width, false));
      gate_up_.push_back(RandomWeight(random, 2 * shape.feed_forward, shape.hidden, PartRows() == 1));
      down_.push_back(RandomWeight(random, shape.hidden, shape.feed_forward, false));
      down_.back()->scale = 1 / SwiGluScale();
      const size_t plane = static_cast<size_t>(pages) * kPageRows * static_cast<size_t>(shape.kv_heads * shape.Width() * KvParts(kv)) * 2;
      for (int i = 0; i < 2; ++i) {
        planes_.push_back(std::make_unique<DeviceArray<uint8_t>>(plane));
        planes_.back()->Repeat(numbers);
      }
    }
    head_ = RandomWeight(random, shape.vocabulary, shape.hidden, false, true);
    std::vector<float> gain(static_cast<size_t>(shape.hidden));
    for (float& value : gain) {
      value = 1 + random.Float(0.2f);
    }
    gain_ = std::make_unique<DeviceArray<float>>(gain);
    MakeBuffers();
  }

  /// Uploads rows; buckets are filled up with rows that nothing reads.
  void Upload(const Rows& rows, int bucket) {
    bucket_ = bucket;
    Rows all = rows;
    for (int i = rows.count(); i < bucket; ++i) {
      all.tokens.push_back(0);
      all.positions.push_back(-1);
      all.kv_rows.push_back((pages_ - 1) * kPageRows + i % kPageRows);
      all.trunk.push_back(1);
      all.page_start.push_back(0);
      all.path_start.push_back(0);
    }
    all.path_rows.push_back(0);
    tokens_->Upload(all.tokens);
    positions_->Upload(all.positions);
    kv_rows_->Upload(all.kv_rows);
    trunk_->Upload(all.trunk);
    page_start_->Upload(all.page_start);
    path_start_->Upload(all.path_start);
    page_list_->Upload(all.pages);
    path_rows_->Upload(all.path_rows);
    const auto items = PlanAttention(rows.sequences, shape_.heads, shape_.kv_heads, 0);
    items_->Upload(items);
    item_count_->Upload({static_cast<int32_t>(items.size())});
  }

  /// All kernels of a forward of the bucket, and the choice of the highest logits.
  void Run() {
    Embed();
    for (int layer = 0; layer < shape_.layers; ++layer) {
      Norm(layer == 0 ? 0 : down_[static_cast<size_t>(layer) - 1]->segments);
      Qkv(layer);
      Rope(layer);
      Attention(layer);
      Fold();
      Output(layer);
      Norm(o_[static_cast<size_t>(layer)]->segments);
      GateUp(layer);
      Down(layer);
    }
    Norm(down_.back()->segments);
    Head();
    Choose();
  }

  void Embed() {
    Launch(embed, bucket_, 1, 256, 0,
           EmbedArguments{reinterpret_cast<const uint8_t*>(table_->data()), tokens_->data(), x_->data(), shape_.hidden, static_cast<int32_t>(Format::kBF16), 1});
  }
  void Norm(int segments) {
    RmsNorm({x_->data(), partials_->data(), nullptr, gain_->data(), nullptr, packed_->data(), segments * PartRows(), bucket_, bucket_ * PartRows() / 8, shape_.hidden, parts_, 1e-5f}, bucket_);
  }
  void Qkv(int layer) { MatMul(*qkv_[static_cast<size_t>(layer)], bucket_ * PartRows(), packed_->data(), partials_->data()); }
  void Rope(int layer) {
    RopeAppend({partials_->data(), nullptr, nullptr, nullptr, cos_->data(), sin_->data(), positions_->data(), kv_rows_->data(), q_->data(), Plane(layer, 0), Plane(layer, 1),
                qkv_[static_cast<size_t>(layer)]->segments * PartRows(), bucket_, shape_.heads, shape_.kv_heads, shape_.head_width, shape_.Width(), shape_.head_width, KvParts(kv_), 1e-5f},
               bucket_);
  }
  void Attention(int layer) {
    TreeAttention({q_->data(), Plane(layer, 0), Plane(layer, 1), maxima_sums_->data(), weighted_->data(), positions_->data(), trunk_->data(), page_start_->data(),
                   page_list_->data(), path_start_->data(), path_rows_->data(), items_->data(), item_count_->data(), static_cast<int32_t>(items_->size()), bucket_, shape_.heads, shape_.kv_heads, 0,
                   1.4426950408889634f / std::sqrt(static_cast<float>(shape_.head_width))},
                  shape_.Width(), kv_);
  }
  void Fold() {
    AttentionFold({maxima_sums_->data(), weighted_->data(), positions_->data(), attended_->data(), bucket_, shape_.heads, shape_.head_width, shape_.Width(), 0, bucket_ * PartRows() / 8, parts_}, bucket_);
  }
  void Output(int layer) { MatMul(*o_[static_cast<size_t>(layer)], bucket_ * PartRows(), attended_->data(), partials_->data()); }
  /// Where rows have two parts, sums of both are added before anything else is done with them.
  void GateUp(int layer) {
    const Weight& weight = *gate_up_[static_cast<size_t>(layer)];
    if (PartRows() == 1) {
      MatMul(weight, bucket_, packed_->data(), hidden_->data(), SwiGluScale());
      return;
    }
    const int width = shape_.feed_forward;
    MatMul(weight, bucket_ * PartRows(), packed_->data(), partials_->data());
    FinishRows({nullptr, partials_->data(), nullptr, nullptr, nullptr, gated_->data(), weight.segments * PartRows(), bucket_, width, kSwiGlu, 0}, bucket_);
    RmsNorm({gated_->data(), nullptr, nullptr, nullptr, nullptr, hidden_->data(), 0, bucket_, bucket_ * PartRows() / 8, width, parts_, 0}, bucket_);
  }
  void Down(int layer) { MatMul(*down_[static_cast<size_t>(layer)], bucket_ * PartRows(), hidden_->data(), partials_->data()); }
  void Head() {
    MatMul(*head_, bucket_ * PartRows(), packed_->data(), PartRows() == 1 ? logits_->data() : partials_->data());
    if (PartRows() > 1) {
      FinishRows({nullptr, partials_->data(), nullptr, nullptr, nullptr, logits_->data(), head_->segments * PartRows(), bucket_, shape_.vocabulary, kStore, 0}, bucket_);
    }
  }
  void Choose() {
    Launch(choose, bucket_, 1, ChooseThreads(shape_.vocabulary), kChooseBytes, ChooseArguments{logits_->data(), rules_->data(), answers_->data(), shape_.vocabulary});
  }

  /// [bucket][vocabulary]
  std::vector<float> Logits() const {
    auto all = logits_->Download();
    all.resize(static_cast<size_t>(bucket_) * static_cast<size_t>(shape_.vocabulary));
    return all;
  }
  void ForgetLogits() { logits_->Fill(0xff); }
  /// The chosen ids.
  std::vector<int32_t> Chosen() const {
    std::vector<int32_t> ids;
    for (const RowAnswer& answer : answers_->Download()) {
      ids.push_back(answer.chosen);
    }
    return ids;
  }

  size_t WeightBytes() const {
    size_t bytes = head_->Bytes();
    for (int layer = 0; layer < shape_.layers; ++layer) {
      bytes += qkv_[layer]->Bytes() + o_[layer]->Bytes() + gate_up_[layer]->Bytes() + down_[layer]->Bytes();
    }
    return bytes;
  }
  int Kernels() const { return PartRows() == 1 ? 4 + 9 * shape_.layers : 5 + 11 * shape_.layers; }
  int DownSegments() const { return down_[0]->segments; }

 private:
  float SwiGluScale() const { return parts_ > 0 ? 1.0f : 0.0625f; }
  int PartRows() const { return RowsOfParts(parts_); }  // that a row is for a product

  uint8_t* Plane(int layer, int which) const { return planes_[static_cast<size_t>(layer * 2 + which)]->data(); }

  /// Large matrices repeat a random block of some megabytes.
  std::unique_ptr<Weight> RandomWeight(check::Random& random, int out, int in, bool gate_up, bool one_segment = false);

  void MakeBuffers();

  template <class T>
  static std::unique_ptr<DeviceArray<T>> Zeros(size_t count) {
    auto array = std::make_unique<DeviceArray<T>>(count);
    array->Fill(0);
    return array;
  }

  ModelShape shape_;
  Format format_, kv_;
  int parts_;  // of a number of a row beside the weights
  int pages_, units_, bucket_ = 8;
  size_t most_rows_;
  std::unique_ptr<DeviceArray<uint16_t>> table_, q_;
  std::vector<std::unique_ptr<Weight>> qkv_, o_, gate_up_, down_;
  std::unique_ptr<Weight> head_;
  std::vector<std::unique_ptr<DeviceArray<uint8_t>>> planes_;
  std::unique_ptr<DeviceArray<float>> gain_, x_, partials_, gated_, weighted_, logits_, cos_, sin_;
  std::unique_ptr<DeviceArray<ChoiceRule>> rules_;
  std::unique_ptr<DeviceArray<RowAnswer>> answers_;
  std::unique_ptr<DeviceArray<Pair>> maxima_sums_;
  std::unique_ptr<DeviceArray<uint8_t>> packed_, attended_, hidden_;
  std::unique_ptr<DeviceArray<int32_t>> tokens_, positions_, kv_rows_, trunk_, page_start_, path_start_, page_list_, path_rows_, item_count_;
  std::unique_ptr<DeviceArray<AttentionItem>> items_;
};

inline std::unique_ptr<Weight> Forward::RandomWeight(check::Random& random, int out, int in, bool gate_up, bool one_segment) {
  auto weight = std::make_unique<Weight>(format_, out, in, gate_up);
  if (one_segment) {
    weight->segments = 1;
  }
  // Packed bytes at random: every sequence of bytes is a matrix where numbers are 8 or 4 bits and scales are made sane; of 16 bits the exponent is.
  const FormatSizes sizes = Sizes(format_);
  const size_t stage = static_cast<size_t>(sizes.stage_bytes), block_stages = std::min<size_t>(weight->Bytes() / stage, 61);
  std::vector<uint8_t> block(block_stages * stage);
  const float amplitude = 1.7f / std::sqrt(static_cast<float>(in));
  for (size_t s = 0; s < block_stages; ++s) {
    uint8_t* bytes = block.data() + s * stage;
    const size_t scales = format_ == Format::kQ8 ? 512 : format_ == Format::kQ4 ? 1024 : 0;
    for (size_t i = 0; i < stage; i += 2) {
      uint16_t bits = static_cast<uint16_t>(random.Next() >> 48);
      if (i >= stage - scales || scales == 0) {
        const float number = scales == 0 ? (random.Below(2) == 0 ? 1.0f : -1.0f) * (1 + random.Float(0.99f)) * amplitude : amplitude / (format_ == Format::kQ8 ? 128.0f : 8.0f) * (1 + random.Float(0.3f));
        uint32_t word;
        std::memcpy(&word, &number, 4);
        bits = sizes.bf16 ? static_cast<uint16_t>(word >> 16) : static_cast<uint16_t>((word >> 16 & 0x8000u) | (((word >> 13) & 0x3ffffu) - 0x1c000u));
      }
      std::memcpy(bytes + i, &bits, 2);
    }
  }
  weight->packed.Repeat(block);
  return weight;
}

inline void Forward::MakeBuffers() {
  const size_t rows = most_rows_, hidden = static_cast<size_t>(shape_.hidden), parts = static_cast<size_t>(PartRows());
  const int tiles = static_cast<int>(rows * parts) / 8;
  const size_t added = parts == 1 ? hidden : static_cast<size_t>(std::max(2 * shape_.feed_forward, shape_.vocabulary));  // widths that leave partial sums
  const size_t widest = std::max<size_t>(std::max(hidden, added), static_cast<size_t>(shape_.Qkv()));
  x_ = Zeros<float>(rows * hidden);
  partials_ = Zeros<float>(rows * parts * widest * 8);
  gated_ = Zeros<float>(parts == 1 ? 1 : rows * static_cast<size_t>(shape_.feed_forward));
  packed_ = Zeros<uint8_t>(static_cast<size_t>(ActivationBytes(shape_.hidden, tiles)));
  attended_ = Zeros<uint8_t>(static_cast<size_t>(ActivationBytes(shape_.heads * shape_.head_width, tiles)));
  hidden_ = Zeros<uint8_t>(static_cast<size_t>(ActivationBytes(shape_.feed_forward, tiles)));
  q_ = Zeros<uint16_t>(rows * static_cast<size_t>(shape_.heads * shape_.Width() * KvParts(kv_)));
  maxima_sums_ = std::make_unique<DeviceArray<Pair>>(static_cast<size_t>(units_) * rows * static_cast<size_t>(shape_.heads));
  weighted_ = std::make_unique<DeviceArray<float>>(static_cast<size_t>(units_) * rows * static_cast<size_t>(shape_.heads * shape_.Width()));
  logits_ = std::make_unique<DeviceArray<float>>(rows * static_cast<size_t>(shape_.vocabulary));
  std::vector<float> cos, sin;
  const int half = shape_.head_width / 2;
  for (int position = 0; position < UnitBegin(units_); ++position) {
    for (int i = 0; i < half; ++i) {
      const double angle = position * std::pow(10000.0, -static_cast<double>(i) / half);
      cos.push_back(static_cast<float>(std::cos(angle)));
      sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  cos_ = std::make_unique<DeviceArray<float>>(cos);
  sin_ = std::make_unique<DeviceArray<float>>(sin);
  rules_ = std::make_unique<DeviceArray<ChoiceRule>>(std::vector<ChoiceRule>(rows, ChoiceRule{0, 0, 0, 1}));  // the highest logit of every row
  answers_ = std::make_unique<DeviceArray<RowAnswer>>(rows);
  for (auto* array : {&tokens_, &positions_, &kv_rows_, &trunk_, &page_start_, &path_start_}) {
    *array = Zeros<int32_t>(rows);
  }
  page_list_ = Zeros<int32_t>(static_cast<size_t>(pages_) * 4 + rows);
  path_rows_ = Zeros<int32_t>(rows * (rows + 1) / 2 + 1);
  item_count_ = Zeros<int32_t>(1);
  items_ = std::make_unique<DeviceArray<AttentionItem>>(static_cast<size_t>(units_) * rows);
}

}  // namespace nativespec::cuda
