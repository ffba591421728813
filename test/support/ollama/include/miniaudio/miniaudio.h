/* A stand-in for miniaudio with no more than the names that Ollama's mtmd-helper.cpp uses: a Go module's zip leaves out
   llama.cpp/vendor. Every decode fails, so this build refuses audio; nothing else asks for it. */
#pragma once
#include <stddef.h>
#include <stdint.h>
typedef int ma_result;
typedef uint32_t ma_uint32;
typedef uint64_t ma_uint64;
#define MA_SUCCESS 0
#define MA_ERROR (-1)
typedef enum { ma_format_f32 = 5 } ma_format;
typedef struct {
  int unused;
} ma_decoder_config;
typedef struct {
  int unused;
} ma_decoder;
static inline ma_decoder_config ma_decoder_config_init(ma_format, ma_uint32, ma_uint32) { return ma_decoder_config{0}; }
static inline ma_result ma_decoder_init_memory(const void *, size_t, const ma_decoder_config *, ma_decoder *) { return MA_ERROR; }
static inline ma_result ma_decoder_get_length_in_pcm_frames(ma_decoder *, ma_uint64 *) { return MA_ERROR; }
static inline ma_result ma_decoder_read_pcm_frames(ma_decoder *, void *, ma_uint64, ma_uint64 *) { return MA_ERROR; }
static inline ma_result ma_decoder_uninit(ma_decoder *) { return MA_SUCCESS; }
