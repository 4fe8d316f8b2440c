// All kernels by name, for programs that launch them.
#pragma once

#include "operations.h"

#if defined(NATIVESPEC_CUDA_EMULATOR)
#define NS_DECLARE_KERNEL(name, arguments) void name(const nativespec::cuda::arguments)
#else
#define NS_DECLARE_KERNEL(name, arguments) extern "C" __global__ void name(const nativespec::cuda::arguments)
#endif
#define NS_DECLARE_MATMULS(name)                   \
  NS_DECLARE_KERNEL(matmul_##name##_8, MatMulArguments);  \
  NS_DECLARE_KERNEL(matmul_##name##_16, MatMulArguments); \
  NS_DECLARE_KERNEL(matmul_##name##_32, MatMulArguments); \
  NS_DECLARE_KERNEL(matmul_##name##_64, MatMulArguments); \
  NS_DECLARE_KERNEL(pack_weights_##name, PackWeightsArguments)

NS_DECLARE_MATMULS(bf16);
NS_DECLARE_MATMULS(f16);
NS_DECLARE_MATMULS(f32);
NS_DECLARE_MATMULS(q8);
NS_DECLARE_MATMULS(q4);
NS_DECLARE_KERNEL(embed, EmbedArguments);
NS_DECLARE_KERNEL(rms_norm, RmsNormArguments);
NS_DECLARE_KERNEL(rope_append, RopeAppendArguments);
NS_DECLARE_KERNEL(tree_attention_64, TreeAttentionArguments);
NS_DECLARE_KERNEL(tree_attention_128, TreeAttentionArguments);
NS_DECLARE_KERNEL(attention_fold, AttentionFoldArguments);
NS_DECLARE_KERNEL(choose, ChooseArguments);
NS_DECLARE_KERNEL(move_kv_rows, MoveKvRowsArguments);
