// All kernels by name, for programs that launch them.
#pragma once

#include "operations.h"

/// each(NAME, ARGUMENTS) for every kernel.
#define NS_FOR_EACH_FORMAT(each, name)      \
  each(matmul_##name##_8, MatMulArguments)  \
  each(matmul_##name##_16, MatMulArguments) \
  each(matmul_##name##_32, MatMulArguments) \
  each(matmul_##name##_64, MatMulArguments) \
  each(pack_weights_##name, PackWeightsArguments)
#define NS_FOR_EACH_KERNEL(each)                  \
  NS_FOR_EACH_FORMAT(each, bf16)                  \
  NS_FOR_EACH_FORMAT(each, f16)                   \
  NS_FOR_EACH_FORMAT(each, f32)                   \
  NS_FOR_EACH_FORMAT(each, q8)                    \
  NS_FOR_EACH_FORMAT(each, q4)                    \
  each(embed, EmbedArguments)                     \
  each(rms_norm, RmsNormArguments)                \
  each(finish_rows, FinishRowsArguments)          \
  each(rope_append, RopeAppendArguments)          \
  each(tree_attention_64, TreeAttentionArguments)  \
  each(tree_attention_128, TreeAttentionArguments) \
  each(attention_fold, AttentionFoldArguments)    \
  each(choose, ChooseArguments)                   \
  each(top_k, TopKArguments)                      \
  each(move_kv_rows, MoveKvRowsArguments)

#if defined(NATIVESPEC_CUDA_EMULATOR)
#define NS_DECLARE_KERNEL(name, arguments) void name(const nativespec::cuda::arguments);
#else
#define NS_DECLARE_KERNEL(name, arguments) extern "C" __global__ void name(const nativespec::cuda::arguments);
#endif
NS_FOR_EACH_KERNEL(NS_DECLARE_KERNEL)
