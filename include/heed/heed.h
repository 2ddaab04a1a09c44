/* heed/heed.h: multi-head attention in memory that the caller owns, for C99 and for every language
 * that can call C. An example:
 *
 *     #include "heed/heed.h"
 *
 *     // Makes a layer of a packed file, for sequences of up to 128 rows. file and block begin at a
 *     // multiple of 64 and stay where they are; heed_workspace_bytes gives the size of the block.
 *     heed_status open_layer(const void* file, size_t file_bytes, void* block, size_t block_bytes,
 *                            heed_attention* layer) {
 *       heed_weights weights;
 *       heed_limits limits = HEED_LIMITS_INIT;
 *       limits.max_query_len = 128;
 *       heed_status status = heed_weights_open(file, file_bytes, &weights);
 *       if (status.code != HEED_OK) return status;
 *       return heed_attention_create(&limits, &weights, block, block_bytes, layer, NULL);
 *     }
 *
 *     // Self-attention: each row of x [length][embed_dim] looks at itself and the rows before it.
 *     heed_status run_layer(const heed_attention* layer, const float* x, float* y, size_t length,
 *                           size_t embed_dim) {
 *       heed_forward_args args = HEED_FORWARD_ARGS_INIT;
 *       args.query = heed_const_tensor_3d(x, 1, length, embed_dim);
 *       args.output = heed_tensor_3d(y, 1, length, embed_dim);
 *       args.causal = 1;
 *       return heed_attention_forward(layer, &args);
 *     }
 *
 * ports/example/self_attention.c is a whole program. The packed file comes from `heed pack` or from
 * heed_pack_weights. Below come the status, tensors and masks, the layer, its call, caches, and
 * attention without projections; then what is rarely needed: packing in a program, configs,
 * threads, choice of kernels, functions for other languages.
 *
 * Structs that begin with `size`: start from the macro of the same name, HEED_LIMITS_INIT for
 * heed_limits, and set what differs; a field that is zero means the default that its comment names.
 * A table may write .size = sizeof(heed_limits) instead. A struct whose size nobody set is refused
 * with HEED_BAD_VALUE and an argument such as "limits.size".
 *
 * Pointers: a null pointer where this header does not allow one gives HEED_NULL_POINTER with the
 * name of the argument, never a crash; functions that return a number of bytes give 0 where others
 * would refuse. A call that fails writes nothing but its status. Nothing here allocates, locks,
 * prints or aborts. Truth values are uint8_t: any value but 0 is true.
 *
 * Threads: one heed_attention serves one call at a time, and a second one answers HEED_BUSY. Two of
 * them are independent, also when they share a packed file, unless they share a workspace. A
 * heed_kv_cache that is appended to or changed serves one call at a time, too. All other functions
 * may be called from anywhere at any time.
 *
 * What is stable: a program that was compiled with this header works with every later library
 * whose heed_abi_version() equals HEED_ABI_VERSION.
 *   - Functions, constants and status codes are added, never removed or renumbered.
 *   - Structs that begin with `size` may get new fields at their end. A smaller size that a
 *     released library had means that library's layout, with defaults for the rest. A larger size
 *     comes from a newer header: it is accepted if all bytes that this library does not know are
 *     zero. Any other size is refused.
 *   - All other structs (status, tensors, masks, lengths, offsets, positions, new rows) never
 *     change, and heed_weights, heed_attention and heed_kv_cache never change their size.
 * What may change: the texts of a status, the bytes inside heed_weights, heed_attention,
 * heed_kv_cache and a block, and the number of bytes that heed_workspace_bytes returns.
 */
#ifndef HEED_HEED_H_
#define HEED_HEED_H_

#include <stddef.h>
#include <stdint.h>

#include "heed/detail/export.h"
#include "heed/version.h"

#define HEED_ABI_VERSION 3

#if defined(__GNUC__)
#define HEED_NODISCARD __attribute__((warn_unused_result))
#else
#define HEED_NODISCARD
#endif

/* A struct of zeros with its size. The macros HEED_..._INIT beside the structs use it. */
#ifdef __cplusplus
template <typename Struct>
inline Struct heed_init() {
  Struct zeros = {};
  zeros.size = sizeof(Struct);
  return zeros;
}
#define HEED_INIT(type) heed_init<type>()
#else
#define HEED_INIT(type) {.size = sizeof(type)}
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
  HEED_ALIGNMENT = 64,          /* alignment of blocks and packed files in bytes */
  HEED_MAX_DIMENSION = 1048576, /* the largest value of any dimension */
};

/* ------------------------------------------------------------------------------------ status */

typedef int32_t heed_status_code;
enum {
  HEED_OK = 0,
  HEED_NULL_POINTER = 1,     /* a pointer that this call needs is null */
  HEED_BAD_CONFIG = 2,       /* the config contradicts itself */
  HEED_BAD_VALUE = 3,        /* a scalar argument (size, window, offset, scale) out of range */
  HEED_BAD_SHAPE = 10,       /* a tensor's shape or strides */
  HEED_BAD_MASK = 11,        /* a mask's shape, or a key length out of range */
  HEED_OVERLAP = 12,         /* an output shares memory with something else */
  HEED_MISALIGNED = 13,      /* a pointer lacks the alignment the declaration names */
  HEED_OVER_LIMIT = 14,      /* a shape is larger than the limits given to create */
  HEED_BLOCK_TOO_SMALL = 20, /* the caller's memory is smaller than the size function says */
  HEED_STALE_PLAN = 21,      /* the layer's plan was overwritten, by another create for instance */
  HEED_BUSY = 22,            /* another call of the same layer or cache is running */
  HEED_CACHE_FULL = 23,      /* a cache has no room for the new rows */
  HEED_OVERWRITTEN = 24,     /* a ring has overwritten keys that this truncation would show */
  HEED_BAD_MAGIC = 30,       /* not a .heed file, or not the block of a cache */
  HEED_BAD_VERSION = 31,     /* a .heed file or a cache of another version */
  HEED_BAD_CHECKSUM = 32,    /* header or payload were altered */
  HEED_BAD_HEADER = 33,      /* a header that contradicts itself or the file's size */
  HEED_CONFIG_MISMATCH = 34, /* the file or the cache holds another layer than the caller expects */
  HEED_BAD_PAYLOAD = 35,     /* a wrong number beside a right checksum; see verify, attach */
  HEED_UNKNOWN_TARGET = 40,  /* no such dispatch target, or this CPU cannot run it */
  HEED_UNSUPPORTED = 41,     /* known to the format or a newer header, not to this library */
  HEED_BACKEND_FAILED = 42,  /* a projection backend gave up; not from this header's functions */
  HEED_BAD_BUILD = 43,       /* compiled with -ffast-math or its like, or not rounding to nearest */
  HEED_INTERNAL = 50,        /* a bug in heed; please report it */
};

/* A form says how a number of a status reads. */
typedef uint16_t heed_number_form;
enum {
  HEED_NUMBER_NONE = 0,       /* there is no number; it is 0 */
  HEED_NUMBER_SIGNED = 1,     /* an int64_t */
  HEED_NUMBER_UNSIGNED = 2,   /* a uint64_t with the same bits */
  HEED_NUMBER_FLOAT = 3,      /* its lower 32 bits are those of a float */
  HEED_NUMBER_HEX = 4,        /* a uint64_t that reads in hexadecimal: a checksum, flags */
  HEED_NUMBER_CHARACTERS = 5, /* its lower four bytes are characters, the lowest first */
  HEED_NUMBER_BOOL = 6,       /* 0 is false, and 1 true */
  HEED_NUMBER_WEIGHTS = 7,    /* a HEED_WEIGHTS_ constant */
  HEED_NUMBER_CORE = 8,       /* a HEED_CORE_ constant */
};

/* The answer of a call. The texts are static strings, null when ok; nothing is to be freed. */
typedef struct heed_status {
  heed_status_code code;
  heed_number_form expected_form;
  heed_number_form actual_form;
  const char* argument;    /* the argument that was wrong: "key", "limits.max_batch" */
  const char* expectation; /* what was expected of it: "a divisor of num_heads =" */
  int64_t expected;        /* the number that ends the expectation, as expected_form tells */
  int64_t actual;          /* the number that was given, as actual_form tells */
} heed_status;

/* The name of a code, "bad shape"; "unknown status" for any other number. Static storage. */
HEED_EXPORT const char* heed_status_code_name(heed_status_code code);
/* Writes "CODE: ARGUMENT: expected EXPECTATION EXPECTED, got ACTUAL", without the numbers that the
 * status does not have, such as
 *   bad config: config.num_kv_heads: expected a divisor of num_heads = 8, got 3
 * into buffer[size], NUL-terminated and cut to fit, and returns the length of the whole sentence,
 * as snprintf does. buffer may be null where only the length is wanted. 160 bytes hold every
 * sentence of this library. */
HEED_EXPORT size_t heed_format_status(const heed_status* status, char* buffer, size_t size);

/* --------------------------------------------------------------------- tensors, masks, lengths */

/* A float tensor [batch][heads][rows][columns]; a [B, S, E] tensor has heads = 1. Element
 * (b, h, r, c) is data[b * batch_stride + h * head_stride + r * row_stride + c]: strides count
 * elements, the last one is 1. data needs the alignment of float only. Inputs may repeat memory
 * (stride 0); outputs must not. All zero: absent. */
typedef struct heed_tensor {
  float* data;
  size_t batch, heads, rows, columns;
  size_t batch_stride, head_stride, row_stride;
} heed_tensor;
typedef struct heed_const_tensor {
  const float* data;
  size_t batch, heads, rows, columns;
  size_t batch_stride, head_stride, row_stride;
} heed_const_tensor;

/* Contiguous [batch][rows][columns] and [batch][heads][rows][columns]. */
HEED_EXPORT heed_tensor heed_tensor_3d(float* data, size_t batch, size_t rows, size_t columns);
HEED_EXPORT heed_tensor heed_tensor_4d(float* data, size_t batch, size_t heads, size_t rows,
                                       size_t columns);
HEED_EXPORT heed_const_tensor heed_const_tensor_3d(const float* data, size_t batch, size_t rows,
                                                   size_t columns);
HEED_EXPORT heed_const_tensor heed_const_tensor_4d(const float* data, size_t batch, size_t heads,
                                                   size_t rows, size_t columns);

/* A mask of logical shape [batch][num_heads][query_len][key_len]; each dimension may instead be 1,
 * which repeats it (its stride is not used). Strides count elements. All zero: absent.
 * The argument's name gives the polarity: keep, ignore or bias. */
typedef struct heed_byte_mask {
  const uint8_t* data; /* zero or not zero */
  size_t batch, heads, query_len, key_len;
  size_t batch_stride, head_stride, query_stride, key_stride;
} heed_byte_mask;
typedef struct heed_float_mask {
  const float* data;
  size_t batch, heads, query_len, key_len;
  size_t batch_stride, head_stride, query_stride, key_stride;
} heed_float_mask;

/* Contiguous [query_len][key_len], the same for every batch entry and head. */
HEED_EXPORT heed_byte_mask heed_byte_mask_2d(const uint8_t* data, size_t query_len, size_t key_len);
HEED_EXPORT heed_float_mask heed_float_mask_2d(const float* data, size_t query_len, size_t key_len);
/* Contiguous [batch][heads][query_len][key_len]; dimensions of 1 repeat. */
HEED_EXPORT heed_byte_mask heed_byte_mask_4d(const uint8_t* data, size_t batch, size_t heads,
                                             size_t query_len, size_t key_len);
HEED_EXPORT heed_float_mask heed_float_mask_4d(const float* data, size_t batch, size_t heads,
                                               size_t query_len, size_t key_len);
/* nn.MultiheadAttention's key_padding_mask [batch][key_len]: non-zero is ignored. */
HEED_EXPORT heed_byte_mask heed_key_padding(const uint8_t* data, size_t batch, size_t key_len);

/* Key lengths [batch], each from 0 to key_len: keys at or after the length are hidden, and neither
 * projected nor read. All zero: absent. */
typedef struct heed_lengths {
  const int32_t* data;
  size_t count;
} heed_lengths;

/* The position of query 0 among the keys, one for each batch entry [batch]. All zero: absent. */
typedef struct heed_offsets {
  const int64_t* data;
  size_t count;
} heed_offsets;

/* --------------------------------------------------------------- a layer from its packed file */

enum { HEED_WEIGHTS_F32 = 0, HEED_WEIGHTS_BF16 = 1, HEED_WEIGHTS_INT8 = 2, HEED_WEIGHTS_INT4 = 3 };
enum { HEED_CORE_F32 = 0, HEED_CORE_INT8 = 1 };
enum { HEED_ROPE_NONE = 0, HEED_ROPE_HALF = 1, HEED_ROPE_INTERLEAVED = 2 };

/* The trained shape. Zeros mean the default that the comment names; heed_resolve_config replaces
 * them. */
typedef struct heed_attention_config {
  uint32_t size;         /* HEED_ATTENTION_CONFIG_INIT sets it */
  uint32_t embed_dim;    /* columns of query and output */
  uint32_t num_heads;    /* query heads */
  uint32_t num_kv_heads; /* 0: num_heads; divides num_heads: query head h reads h / (H / H_kv) */
  uint32_t head_dim;     /* 0: embed_dim / num_heads, which then must divide */
  uint32_t kdim;         /* 0: embed_dim; columns of key */
  uint32_t vdim;         /* 0: embed_dim; columns of value */
  float scale;           /* 0: 1 / sqrt(head_dim); times log2(e), it multiplies q once */
  float softcap;         /* 0: none; else scores become softcap * tanh(score / softcap) */
  uint32_t window;       /* 0: none; else sliding causal window of that many keys */
  uint8_t q_bias, k_bias, v_bias, out_bias;
  uint8_t add_bias_kv;   /* one trained key and value seen by every row (bias_k, bias_v) */
  uint8_t add_zero_attn; /* one zero key and value seen by every row */
  uint32_t weights;      /* HEED_WEIGHTS_...: any other number is refused */
  uint32_t core;         /* HEED_CORE_...: the same */
  uint32_t rope_style;   /* HEED_ROPE_...: rotary positions of queries and keys */
  uint32_t rope_dims;    /* 0: head_dim; the first columns of a head that turn, an even number */
  float rope_factor;     /* 0: 1; multiplies cosine and sine (YaRN's attention factor) */
  float norm_eps;        /* 0: 1e-6; is added to the mean of the squares of a norm */
  uint8_t q_norm;        /* RMSNorm of each head's query, before it is rotated */
  uint8_t k_norm;        /* the same of each head's key */
  uint8_t reserved[2];   /* 0 */
} heed_attention_config;
#define HEED_ATTENTION_CONFIG_INIT HEED_INIT(heed_attention_config)

/* A checked view of a packed file: nothing to free, copied by assignment. Not open until
 * heed_weights_open has filled it. */
typedef struct heed_weights {
  uint64_t storage[32];
} heed_weights;

/* Checks magic, version, header CRC, config and sizes: O(1), reads the first 256 bytes. `file`
 * (aligned to 64, at least as long as the packed file) stays where it is and must outlive the
 * view and every layer made of it; flash or a mapped file will do. Survives any bytes. */
HEED_EXPORT HEED_NODISCARD heed_status heed_weights_open(const void* file, size_t file_bytes,
                                                         heed_weights* weights);
/* Checks the CRC-32C of the payload (HEED_BAD_CHECKSUM), then sums, scales and what fills panels
 * up, which a faulty writer may have left wrong beside it (HEED_BAD_PAYLOAD): two reads of the
 * whole file. For files from outside: only one that passes has the same results on every CPU.
 * Open alone already keeps every access inside the file. */
HEED_EXPORT HEED_NODISCARD heed_status heed_weights_verify(const heed_weights* weights);
/* The resolved config of the file. */
HEED_EXPORT HEED_NODISCARD heed_status heed_weights_config(const heed_weights* weights,
                                                           heed_attention_config* config);
/* The packed file itself, without what followed it in memory. */
HEED_EXPORT HEED_NODISCARD heed_status heed_weights_bytes(const heed_weights* weights,
                                                          const void** file, size_t* file_bytes);

/* The largest call that a block serves; each up to HEED_MAX_DIMENSION. */
typedef struct heed_limits {
  uint32_t size;          /* HEED_LIMITS_INIT sets it */
  uint32_t max_batch;     /* 0: 1 */
  uint32_t max_query_len; /* at least 1 */
  uint32_t max_key_len;   /* 0: max_query_len, as self-attention needs */
  uint32_t max_workers;   /* 0: 1; the most workers of an executor given to forward */
  uint32_t cached;        /* not 0: every call has a cache or a memory, so that the workspace has no
                           * room for keys and values; max_key_len is then what remember takes */
} heed_limits;
#define HEED_LIMITS_INIT HEED_INIT(heed_limits)

/* Bytes of the block: a multiple of 64, the same on every CPU, so that a program without a heap
 * may write the number down; 0 for a config or limits that create refuses. */
HEED_EXPORT size_t heed_workspace_bytes(const heed_attention_config* config,
                                        const heed_limits* limits);
/* The two parts of the block: a plan, about a kilobyte for each layer, and a workspace, which
 * layers that do not run at the same time may share (then the largest counts). */
HEED_EXPORT size_t heed_plan_bytes(const heed_attention_config* config);
HEED_EXPORT size_t heed_shared_workspace_bytes(const heed_attention_config* config,
                                               const heed_limits* limits);

/* A layer, ready to run: a handle on the caller's block, copied by assignment. Not created until
 * heed_attention_create has filled it. */
typedef struct heed_attention {
  uint64_t storage[8];
} heed_attention;

typedef struct heed_create_options heed_create_options; /* see "choice of kernels" */
typedef struct heed_executor heed_executor;             /* see "threads" */

/* Checks everything, chooses the kernels and carves the block (aligned to 64, at least
 * heed_workspace_bytes). Keeps pointers into the packed file and the block: both outlive the
 * layer and stay in place; weights, limits and options need not. options may be null. */
HEED_EXPORT HEED_NODISCARD heed_status heed_attention_create(const heed_limits* limits,
                                                             const heed_weights* weights,
                                                             void* block, size_t block_bytes,
                                                             heed_attention* layer,
                                                             const heed_create_options* options);
/* The same, and refuses (HEED_CONFIG_MISMATCH, naming the field) a file whose config is not the
 * resolved `expected`: for callers who wrote the size of their block down. */
HEED_EXPORT HEED_NODISCARD heed_status heed_attention_create_checked(
    const heed_attention_config* expected, const heed_limits* limits, const heed_weights* weights,
    void* block, size_t block_bytes, heed_attention* layer, const heed_create_options* options);

/* heed_attention_create with the two parts of the block apart, both aligned to 64: every layer has
 * a plan of its own. A layer whose plan was overwritten answers HEED_STALE_PLAN. */
HEED_EXPORT HEED_NODISCARD heed_status heed_attention_create_shared(
    const heed_limits* limits, const heed_weights* weights, void* plan, size_t plan_bytes,
    void* workspace, size_t workspace_bytes, heed_attention* layer,
    const heed_create_options* options);

/* Keys and values of earlier calls (see "caches"), in a block of the caller's: nothing to free. A
 * copy by assignment, while no call uses it, is a second handle of the same block. Not attached
 * until heed_kv_cache_init or heed_kv_cache_attach has filled it. */
typedef struct heed_kv_cache {
  uint64_t storage[64];
} heed_kv_cache;

/* Rotary positions of the rows of a call, [batch][length] or [1][length] for all entries, each from
 * 0 to 2^20 - 1 (heed/positions.h). All zero: absent, and rows count from their entry's length or
 * from the offset. */
typedef struct heed_positions {
  const int32_t* data;
  size_t batch, length;
} heed_positions;

/* How many rows of a call are new, one number for each batch entry [batch]. All zero: absent. */
typedef struct heed_new_rows {
  const int32_t* data;
  size_t count;
} heed_new_rows;

/* One call. Tensors are [batch][len][columns] with heads = 1. */
typedef struct heed_forward_args {
  uint32_t size;           /* HEED_FORWARD_ARGS_INIT sets it */
  heed_const_tensor query; /* [batch][query_len][embed_dim] */
  heed_const_tensor key;   /* [batch][key_len][kdim]; absent: query, as self-attention */
  heed_const_tensor value; /* [batch][key_len][vdim]; absent: key; not without key */
  heed_byte_mask keep;     /* non-zero takes part; all masks that are given intersect */
  heed_byte_mask ignore;   /* non-zero is ignored, as in nn.MultiheadAttention */
  heed_byte_mask key_padding; /* a second ignore mask, usually made by heed_key_padding */
  heed_float_mask bias;    /* added to the score; -inf hides, +inf or NaN make the row NaN */
  heed_lengths lengths;
  uint8_t causal;          /* hides key j from query i unless j <= i + offset */
  int64_t offset;          /* position of query 0 among the keys; used by causal and window */
  heed_offsets offsets;    /* an offset for each batch entry; `offset` is then 0 */
  int64_t window;          /* W > 0: hides j <= i + offset - W; replaces the file's window. Causal
                            * unless window_right is given */
  heed_tensor output;      /* [batch][query_len][embed_dim]; exactly query, or no overlap */
  heed_tensor attention_weights; /* absent, or [batch][num_heads][query_len][key_len + added] */
  uint8_t average_weights; /* attention_weights is [batch][query_len][key_len + added] */
  const heed_executor* executor; /* null: serial */
  int64_t window_right;    /* R > 0: hides j > i + offset + R; -1: hides no key on the right; 0: not
                            * given. causal keeps it at 0. heed/mask.h has ONNX's numbers beside */
  heed_positions positions;
  heed_kv_cache* cache;    /* null, or a cache that the rows of query are appended to: each row then
                            * attends to what its entry holds, up to itself where `causal` or a
                            * window says so. No key, no offset. Masks, bias and attention_weights
                            * have a key column for each key of the longest entry after the call */
  const heed_kv_cache* memory; /* null, or what heed_attention_remember made; no key */
  heed_new_rows new_rows;  /* with a cache: the rows of each entry that count; absent: all */
  int64_t first_keys;      /* with a window: keys before this number are seen all the same */
} heed_forward_args;
#define HEED_FORWARD_ARGS_INIT HEED_INIT(heed_forward_args)

/* output = out_proj(attention(q_proj(query), k_proj(key), v_proj(value))). A batch or query of zero
 * length is a valid call that does nothing; a row without a visible key gives the output bias.
 * Every refusal comes before the first write, but for an executor that breaks its contract. Same
 * bits on every FMA target and with every executor (tests/numeric). Error against exact arithmetic:
 * at most 2e-6 of |y|max on random normal layers up to embed_dim 1024
 * (tests/numeric/accuracy_test.cc). */
HEED_EXPORT HEED_NODISCARD heed_status heed_attention_forward(const heed_attention* layer,
                                                              const heed_forward_args* args);

/* ------------------------------------------------------------------------------------- caches */

/* How a cache keeps a number: as it is; rounded to bfloat16; as an integer with a scale for each
 * key or value of a head. An int8 core takes HEED_CACHE_INT8 alone. heed/kv_cache.h tells more. */
enum { HEED_CACHE_F32 = 1, HEED_CACHE_BF16 = 2, HEED_CACHE_INT8 = 3 };

/* The largest sequences that a cache serves. A linear cache holds `capacity` keys of each batch
 * entry; a ring holds what a sliding window needs and goes on for ever. */
typedef struct heed_cache_limits {
  uint32_t size;         /* HEED_CACHE_LIMITS_INIT sets it */
  uint32_t max_batch;    /* 0: 1 */
  uint32_t capacity;     /* keys of a batch entry; 0 for a ring */
  uint32_t max_new_rows; /* 0: capacity; the most new rows of a call, which a ring needs to know */
  uint32_t window;       /* 0: linear; else a ring for windows of so many keys */
  uint32_t first_keys;   /* so many first keys of the sequence stay in a ring; else 0 */
  uint32_t type;         /* HEED_CACHE_...; 0: HEED_CACHE_F32 */
  uint32_t value_type;   /* HEED_CACHE_...; 0: as type */
} heed_cache_limits;
#define HEED_CACHE_LIMITS_INIT HEED_INIT(heed_cache_limits)

/* Bytes of a cache's block: a multiple of 64, the same on every CPU; 0 for a config or limits that
 * init refuses. */
HEED_EXPORT size_t heed_kv_cache_bytes(const heed_attention_config* config,
                                       const heed_cache_limits* limits);
/* Makes an empty cache in a block that is aligned to 64 and has at least heed_kv_cache_bytes. The
 * block holds no pointers: a copy of its bytes, in memory or in a file, is a snapshot. */
HEED_EXPORT HEED_NODISCARD heed_status heed_kv_cache_init(const heed_attention_config* config,
                                                          const heed_cache_limits* limits,
                                                          void* block, size_t block_bytes,
                                                          heed_kv_cache* cache);
/* Makes a cache of bytes that init made and calls have filled since, wherever they lie now. It
 * survives any bytes: HEED_BAD_MAGIC, HEED_BAD_VERSION, HEED_BAD_CHECKSUM, HEED_BAD_HEADER or
 * HEED_BAD_PAYLOAD for what is no cache or damaged, HEED_CONFIG_MISMATCH for another layer's. */
HEED_EXPORT HEED_NODISCARD heed_status heed_kv_cache_attach(const heed_attention_config* config,
                                                            void* block, size_t block_bytes,
                                                            heed_kv_cache* cache);
/* Keys of a batch entry; 0 for an entry out of range. */
HEED_EXPORT uint32_t heed_kv_cache_length(const heed_kv_cache* cache, uint32_t entry);
/* Forgets the keys of an entry from position n on. HEED_OVERWRITTEN: a ring no longer holds a key
 * that row n would see. heed/kv_cache.h has the errors and the costs of this and the next calls. */
HEED_EXPORT HEED_NODISCARD heed_status heed_kv_cache_truncate(heed_kv_cache* cache, uint32_t entry,
                                                              uint32_t n);
/* Forgets the keys of all entries. */
HEED_EXPORT HEED_NODISCARD heed_status heed_kv_cache_reset(heed_kv_cache* cache);
/* Copies an entry over another one. */
HEED_EXPORT HEED_NODISCARD heed_status heed_kv_cache_copy_entry(heed_kv_cache* cache, uint32_t from,
                                                                uint32_t to);
/* Reorders entries as beam search does: entry i becomes what entry map[i] was, for i below count.
 * An entry may be taken more than once. */
HEED_EXPORT HEED_NODISCARD heed_status heed_kv_cache_reorder(heed_kv_cache* cache,
                                                             const uint32_t* map, size_t count);

/* Projects the keys and values of a sequence once, so that later calls attend to them with a query
 * alone (args.memory): the cross-attention of a decoder. The memory is a linear cache; all that it
 * held is forgotten.
 * key [batch][key_len][kdim]; value [batch][key_len][vdim], null: key; lengths null: all keys
 * count; executor null: serial. */
HEED_EXPORT HEED_NODISCARD heed_status heed_attention_remember(const heed_attention* layer,
                                                               const heed_const_tensor* key,
                                                               const heed_const_tensor* value,
                                                               const heed_lengths* lengths,
                                                               const heed_executor* executor,
                                                               heed_kv_cache* memory);

/* ----------------------------------------------------------- attention without the projections */

typedef struct heed_sdpa_limits {
  uint32_t size;          /* HEED_SDPA_LIMITS_INIT sets it */
  uint32_t max_key_len;
  uint32_t max_head_dim;  /* at least 1 */
  uint32_t max_value_dim; /* 0: max_head_dim */
  uint32_t max_workers;   /* 0: 1 */
} heed_sdpa_limits;
#define HEED_SDPA_LIMITS_INIT HEED_INIT(heed_sdpa_limits)

typedef struct heed_sdpa_args {
  uint32_t size;           /* HEED_SDPA_ARGS_INIT sets it */
  heed_const_tensor query; /* [batch][num_heads][query_len][head_dim] */
  heed_const_tensor key;   /* [batch][num_kv_heads][key_len][head_dim]; num_kv_heads divides */
  heed_const_tensor value; /* [batch][num_kv_heads][key_len][value_dim] */
  heed_byte_mask keep;     /* masks, lengths, causal and offsets as in heed_forward_args */
  heed_byte_mask ignore;
  heed_byte_mask key_padding;
  heed_float_mask bias;
  heed_lengths lengths;
  uint8_t causal;
  int64_t offset;
  heed_offsets offsets;
  int64_t window;          /* 0: none */
  float scale;             /* 0: 1 / sqrt(head_dim) */
  float softcap;           /* 0: none */
  heed_tensor output;      /* [batch][num_heads][query_len][value_dim]; may be exactly query */
  heed_tensor attention_weights; /* absent, or [batch][num_heads][query_len][key_len] */
  uint8_t average_weights; /* attention_weights is [batch][1][query_len][key_len] */
  const heed_executor* executor; /* null: serial */
  int64_t window_right;    /* as in heed_forward_args */
  int64_t first_keys;      /* the same */
} heed_sdpa_args;
#define HEED_SDPA_ARGS_INIT HEED_INIT(heed_sdpa_args)

/* Bytes of the block: a multiple of 64, the same on every CPU; 0 for limits out of range. */
HEED_EXPORT size_t heed_sdpa_workspace_bytes(const heed_sdpa_limits* limits);
/* output = softmax(scale * query key^T, softcap, bias, masks) value, with the arithmetic and the
 * rules of forward; torch.nn.functional.scaled_dot_product_attention. The block (aligned to 64, at
 * least heed_sdpa_workspace_bytes) is scratch: nothing is kept in it. options may be null. */
HEED_EXPORT HEED_NODISCARD heed_status heed_sdpa(const heed_sdpa_args* args,
                                                 const heed_sdpa_limits* limits, void* block,
                                                 size_t block_bytes,
                                                 const heed_create_options* options);

/* --------------------------------------------------------------------------------- the library */

/* From here on: what is rarely needed. */

/* HEED_ABI_VERSION of the library */
HEED_EXPORT uint32_t heed_abi_version(void);
/* major * 10000 + minor * 100 + patch of the library */
HEED_EXPORT uint32_t heed_version(void);
/* "0.1.0" */
HEED_EXPORT const char* heed_version_string(void);

/* --------------------------------------------------------------------------- configs, packing */

/* *resolved = *config with its zeros replaced (1 / sqrt and divisions); does not check shapes.
 * The two may be the same object. */
HEED_EXPORT HEED_NODISCARD heed_status heed_resolve_config(const heed_attention_config* config,
                                                           heed_attention_config* resolved);
/* HEED_BAD_CONFIG or HEED_UNSUPPORTED with the name of the field that is wrong. */
HEED_EXPORT HEED_NODISCARD heed_status heed_check_config(const heed_attention_config* config);

/* The tensors of one layer as PyTorch keeps them: row-major [out][in], contiguous float32; with H,
 * H_kv and D for num_heads, num_kv_heads and head_dim. Biases are required where the config has
 * them, else ignored. */
typedef struct heed_layer_tensors {
  uint32_t size;           /* HEED_LAYER_TENSORS_INIT sets it */
  const float* q_weight;   /* [H * D][embed_dim] */
  const float* k_weight;   /* [H_kv * D][kdim] */
  const float* v_weight;   /* [H_kv * D][vdim] */
  const float* out_weight; /* [embed_dim][H * D] */
  const float* q_bias;     /* [H * D] */
  const float* k_bias;     /* [H_kv * D] */
  const float* v_bias;     /* [H_kv * D] */
  const float* out_bias;   /* [embed_dim] */
  const float* bias_k;     /* [H_kv * D], where add_bias_kv */
  const float* bias_v;     /* [H_kv * D], where add_bias_kv */
  const float* rope_frequencies; /* [rope_dims / 2], where rope_style: radians from one position to
                                  * the next for each pair of columns */
  const float* q_norm_weight;    /* [D], where q_norm. (Gemma: 1 + weight) */
  const float* k_norm_weight;    /* [D], where k_norm */
} heed_layer_tensors;
#define HEED_LAYER_TENSORS_INIT HEED_INIT(heed_layer_tensors)

/* Bytes of the packed file: a multiple of 64, the same on every CPU; 0 for a config whose shape
 * is refused. */
HEED_EXPORT size_t heed_packed_weights_bytes(const heed_attention_config* config);
/* Writes the packed file into out (aligned to 64, out_bytes at least heed_packed_weights_bytes;
 * no memory shared with the tensors). A pass or two over the weights; int4 takes longer, 1.2 s
 * for an embed_dim of 768 on an x86 core. */
HEED_EXPORT HEED_NODISCARD heed_status heed_pack_weights(const heed_attention_config* config,
                                                         const heed_layer_tensors* tensors,
                                                         void* out, size_t out_bytes);

/* ------------------------------------------------------------------------------------- threads */

/* One task of a call; no two run at the same time with the same worker number. */
typedef void (*heed_task_function)(void* argument, size_t task, size_t worker);

/* How a call uses more than one core: run(context, num_tasks, function, argument) calls
 * function(argument, t, worker) once for every t below num_tasks, in any order, with worker below
 * num_workers, and returns when all have ended; what they wrote is then visible to the caller.
 * A task that is left out or repeated, and a worker that is out of range or busy, make the call
 * answer HEED_BAD_VALUE for "executor.run", when its output holds anything.
 * run null: one worker, on the calling thread. Results have the same bits with any executor. */
struct heed_executor {
  uint32_t size;      /* HEED_EXECUTOR_INIT sets it */
  void* context;      /* passed to run */
  size_t num_workers; /* 0: 1 */
  void (*run)(void* context, size_t num_tasks, heed_task_function function, void* argument);
  /* A stage of a call (its projections, its attention) with fewer multiply-adds runs on the calling
   * thread, as waking others would take longer. 0: 2^21; 1: never. */
  uint64_t min_multiply_adds;
};
#define HEED_EXECUTOR_INIT HEED_INIT(heed_executor)

/* --------------------------------------------------------------------------- choice of kernels */

/* The dispatch targets built in and usable on this CPU, best first. "REFERENCE" (scalar) is always
 * usable, and not counted. */
HEED_EXPORT size_t heed_target_count(void);
/* null from heed_target_count() on */
HEED_EXPORT const char* heed_target_name(size_t index);

struct heed_create_options {
  uint32_t size;      /* HEED_CREATE_OPTIONS_INIT sets it */
  const char* target; /* a name of heed_target_name, or "REFERENCE"; null: the best usable one */
};
#define HEED_CREATE_OPTIONS_INIT HEED_INIT(heed_create_options)

/* What a call would do. The library fills it. */
typedef struct heed_explanation {
  uint32_t size;            /* HEED_EXPLANATION_INIT sets it; says how much is written */
  const char* target;       /* static: "AVX3_DL", "NEON", "REFERENCE" ... */
  uint64_t flops;           /* 2 x multiply-adds actually run, of products only */
  uint64_t weight_bytes;    /* the packed file's */
  uint64_t workspace_bytes; /* the block's */
  uint64_t tensor_bytes;    /* inputs and outputs */
  uint32_t gemm_rows;       /* register tile of the projections */
  uint32_t gemm_columns;
  uint32_t query_block;     /* rows of an attention tile, at most */
  uint32_t key_block;       /* keys of an attention tile */
  uint32_t core;            /* HEED_CORE_...: the file's, never another */
  uint64_t tiles;           /* attention tiles of the call: full + masked + skipped */
  uint64_t tiles_full;
  uint64_t tiles_masked;    /* run with a mask applied */
  uint64_t tiles_skipped;   /* no visible key: no work */
} heed_explanation;
#define HEED_EXPLANATION_INIT HEED_INIT(heed_explanation)

/* What forward(args) would do; checks args as forward does and runs nothing. */
HEED_EXPORT HEED_NODISCARD heed_status heed_attention_explain(const heed_attention* layer,
                                                              const heed_forward_args* args,
                                                              heed_explanation* explanation);
HEED_EXPORT HEED_NODISCARD heed_status heed_sdpa_explain(const heed_sdpa_args* args,
                                                         const heed_sdpa_limits* limits,
                                                         heed_explanation* explanation,
                                                         const heed_create_options* options);

/* ----------------------------------------------------------------- calls from other languages */

/* Every function f that returns a heed_status is also there as f_code, with one more argument: it
 * returns the code alone, and writes the whole status where that argument is not null. These are
 * for bindings that cannot receive a struct by value: Python's ctypes, Go, WebAssembly. The
 * functions that make tensors and masks need no such form: a binding sets the fields itself. */
HEED_EXPORT heed_status_code heed_resolve_config_code(const heed_attention_config* config,
                                                      heed_attention_config* resolved,
                                                      heed_status* status);
HEED_EXPORT heed_status_code heed_check_config_code(const heed_attention_config* config,
                                                    heed_status* status);
HEED_EXPORT heed_status_code heed_pack_weights_code(const heed_attention_config* config,
                                                    const heed_layer_tensors* tensors, void* out,
                                                    size_t out_bytes, heed_status* status);
HEED_EXPORT heed_status_code heed_weights_open_code(const void* file, size_t file_bytes,
                                                    heed_weights* weights, heed_status* status);
HEED_EXPORT heed_status_code heed_weights_verify_code(const heed_weights* weights,
                                                      heed_status* status);
HEED_EXPORT heed_status_code heed_weights_config_code(const heed_weights* weights,
                                                      heed_attention_config* config,
                                                      heed_status* status);
HEED_EXPORT heed_status_code heed_weights_bytes_code(const heed_weights* weights, const void** file,
                                                     size_t* file_bytes, heed_status* status);
HEED_EXPORT heed_status_code heed_attention_create_code(const heed_limits* limits,
                                                        const heed_weights* weights, void* block,
                                                        size_t block_bytes, heed_attention* layer,
                                                        const heed_create_options* options,
                                                        heed_status* status);
HEED_EXPORT heed_status_code heed_attention_create_checked_code(
    const heed_attention_config* expected, const heed_limits* limits, const heed_weights* weights,
    void* block, size_t block_bytes, heed_attention* layer, const heed_create_options* options,
    heed_status* status);
HEED_EXPORT heed_status_code heed_attention_create_shared_code(const heed_limits* limits,
                                                               const heed_weights* weights,
                                                               void* plan, size_t plan_bytes,
                                                               void* workspace,
                                                               size_t workspace_bytes,
                                                               heed_attention* layer,
                                                               const heed_create_options* options,
                                                               heed_status* status);
HEED_EXPORT heed_status_code heed_attention_forward_code(const heed_attention* layer,
                                                         const heed_forward_args* args,
                                                         heed_status* status);
HEED_EXPORT heed_status_code heed_attention_explain_code(const heed_attention* layer,
                                                         const heed_forward_args* args,
                                                         heed_explanation* explanation,
                                                         heed_status* status);
HEED_EXPORT heed_status_code heed_sdpa_code(const heed_sdpa_args* args,
                                            const heed_sdpa_limits* limits, void* block,
                                            size_t block_bytes, const heed_create_options* options,
                                            heed_status* status);
HEED_EXPORT heed_status_code heed_sdpa_explain_code(const heed_sdpa_args* args,
                                                    const heed_sdpa_limits* limits,
                                                    heed_explanation* explanation,
                                                    const heed_create_options* options,
                                                    heed_status* status);

HEED_EXPORT heed_status_code heed_kv_cache_init_code(const heed_attention_config* config,
                                                     const heed_cache_limits* limits, void* block,
                                                     size_t block_bytes, heed_kv_cache* cache,
                                                     heed_status* status);
HEED_EXPORT heed_status_code heed_kv_cache_attach_code(const heed_attention_config* config,
                                                       void* block, size_t block_bytes,
                                                       heed_kv_cache* cache, heed_status* status);
HEED_EXPORT heed_status_code heed_kv_cache_truncate_code(heed_kv_cache* cache, uint32_t entry,
                                                         uint32_t n, heed_status* status);
HEED_EXPORT heed_status_code heed_kv_cache_reset_code(heed_kv_cache* cache, heed_status* status);
HEED_EXPORT heed_status_code heed_kv_cache_copy_entry_code(heed_kv_cache* cache, uint32_t from,
                                                           uint32_t to, heed_status* status);
HEED_EXPORT heed_status_code heed_kv_cache_reorder_code(heed_kv_cache* cache, const uint32_t* map,
                                                        size_t count, heed_status* status);
HEED_EXPORT heed_status_code heed_attention_remember_code(const heed_attention* layer,
                                                          const heed_const_tensor* key,
                                                          const heed_const_tensor* value,
                                                          const heed_lengths* lengths,
                                                          const heed_executor* executor,
                                                          heed_kv_cache* memory,
                                                          heed_status* status);

#ifdef __cplusplus
}  /* extern "C" */
#endif

#endif  /* HEED_HEED_H_ */
