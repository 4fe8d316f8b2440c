// All kernels by name, for programs that launch them.
#pragma once

#include "operations.h"

/// each(NAME, ARGUMENTS) for every kernel. Beside F32 eight rows are sixteen (RowParts).
#define NS_FOR_EACH_FORMAT(each, name)      \
  each(matmul_##name##_16, MatMulArguments) \
  each(matmul_##name##_32, MatMulArguments) \
  each(matmul_##name##_64, MatMulArguments) \
  each(matmul_##name##_128, MatMulArguments) \
  each(pack_weights_##name, PackWeightsArguments)
#define NS_FOR_EACH_KERNEL(each)                        \
  each(matmul_bf16_8, MatMulArguments)                  \
  each(matmul_f16_8, MatMulArguments)                   \
  each(matmul_q8_8, MatMulArguments)                    \
  each(matmul_q4_8, MatMulArguments)                    \
  NS_FOR_EACH_FORMAT(each, bf16)                        \
  NS_FOR_EACH_FORMAT(each, f16)                         \
  NS_FOR_EACH_FORMAT(each, f32)                         \
  NS_FOR_EACH_FORMAT(each, q8)                          \
  NS_FOR_EACH_FORMAT(each, q4)                          \
  each(embed, EmbedArguments)                           \
  each(rms_norm, RmsNormArguments)                      \
  each(finish_rows, FinishRowsArguments)                \
  each(rope_append, RopeAppendArguments)                \
  each(tree_attention_bf16_64, TreeAttentionArguments)  \
  each(tree_attention_bf16_128, TreeAttentionArguments) \
  each(tree_attention_f32_64, TreeAttentionArguments)   \
  each(tree_attention_f32_128, TreeAttentionArguments)  \
  each(attention_fold, AttentionFoldArguments)          \
  each(choose, ChooseArguments)                         \
  each(top_k, TopKArguments)                            \
  each(walk_trees, WalkTreesArguments)                  \
  each(move_kv_rows, MoveKvRowsArguments)               \
  each(read_bytes, CeilingArguments)                    \
  each(multiply_tiles, CeilingArguments)

// Programs that call them by the driver know only their names (NATIVESPEC_CUDA_DRIVER).
#if defined(NATIVESPEC_CUDA_EMULATOR) && !defined(NATIVESPEC_CUDA_DRIVER)
#define NS_DECLARE_KERNEL(name, arguments) void name(const nativespec::cuda::arguments);
NS_FOR_EACH_KERNEL(NS_DECLARE_KERNEL)
#endif
