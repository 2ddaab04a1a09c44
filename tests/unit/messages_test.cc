// tests/unit/messages_test.cc: the sentence of every refusal in the library. The table has a case
// for each Fail in lib, and the last test reads the sources to see that none is missing.
//
// To add a Fail: add a case with its file below lib, a part of the statement by which it is found,
// the whole sentence, and a call that is refused so.
#include <dirent.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "heed/heed.h"
#include "heed/report.h"
#include "lib/core/cache.h"
#include "lib/support/crc32c.h"
#include "lib/weights/packed_file.h"
#include "tests/support/executors.h"
#include "tests/support/packed_file.h"
#include "tests/unit/layer_call.h"

namespace heed::test {
namespace {

using std::to_string;
using Call = LayerCall;

constexpr bool kIs64Bit = sizeof(void*) == 8;
constexpr float kNan = NAN;

template <typename T>
T* Shifted(T* data, size_t bytes) {
  return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(data) + bytes);
}

// The cases spoil these things, each of which is valid.
struct Things {
  Call call;
  LayerData layer;  // it has embed_dim 8 and 2 heads
  AlignedBytes file;
  Weights weights;
  Limits limits;
  AlignedBytes memory{size_t{1} << 16};
  std::vector<float> floats = std::vector<float>(400, 0.5f);
  std::vector<int64_t> offsets{1, 2};
  SdpaLimits sdpa_limits;
  Executor executor;

  Things() {
    Random random(3);
    layer = NormalLayer(Shape(8, 2), random);
    file = Pack(layer);
    REQUIRE(Weights::Open(file.bytes(), &weights).ok());
    limits.max_query_len = 5;
    sdpa_limits.max_key_len = 4;
    sdpa_limits.max_head_dim = 2;
  }

  template <typename Edit>
  Status Forward(const Edit& edit) {
    ForwardArgs args = call.args();
    edit(args);
    return call.runner().Forward(args);
  }
  // Lets a call run on an executor of two workers, with its smallest stage too.
  void RunOn(ForwardArgs& args, void* context, decltype(Executor::run) run) {
    executor.context = context;
    executor.num_workers = 2;
    executor.run = run;
    executor.min_multiply_adds = 0;
    args.executor = &executor;
  }
  template <typename Edit>
  Status Sdpa(const Edit& edit) {
    SdpaArgs args;
    args.query = ConstTensorView(floats.data(), 1, 2, 3, 2);
    args.key = args.value = ConstTensorView(floats.data() + 20, 1, 1, 4, 2);
    args.output = TensorView(floats.data() + 40, 1, 2, 3, 2);
    SdpaLimits edited = sdpa_limits;
    MutableBytes block = memory.bytes();
    edit(args, edited, block);
    return ScaledDotProductAttention(args, edited, block);
  }
  template <typename Edit>
  Status Config(const Edit& edit) {
    AttentionConfig config = layer.config;
    edit(config);
    return CheckConfig(config);
  }
  template <typename Edit>
  Status Pack(const Edit& edit) {
    LayerTensors tensors = layer.tensors();
    MutableBytes out = memory.bytes();
    edit(tensors, out);
    return PackWeights(layer.config, tensors, out);
  }
  AlignedBytes Pack(const LayerData& data) { return test::Pack(data); }
  // Opens a copy of the file after an edit of its bytes. The CRC of its header is made right again
  // where it was right.
  template <typename Edit>
  Status Open(const Edit& edit, bool repair = true, size_t size = SIZE_MAX) {
    memcpy(memory.data(), file.data(), file.size());
    FileHeader header;
    memcpy(&header, memory.data(), sizeof(header));
    edit(header);
    header.header_crc = 0;
    memcpy(memory.data(), &header, sizeof(header));
    header.header_crc = repair ? Crc32c(memory.data(), sizes::kHeaderBytes) : 0x0badcafe;
    memcpy(memory.data(), &header, sizeof(header));
    Weights opened;
    return Weights::Open(ConstBytes(memory.data(), std::min(size, file.size())), &opened);
  }
  // Opens and verifies a file of version 2 after an edit of its bytes. Its checksums are made right
  // again. The table is at 256, the tagged fields at 448, the matrices at 576.
  template <typename Edit>
  Status OpenPositions(const Edit& edit, bool repair = true) {
    Random random(5);
    AttentionConfig config = layer.config.WithRope(RopeStyle::kHalf);
    config.q_norm = config.k_norm = true;
    const AlignedBytes copy = Pack(NormalLayer(config, random));
    edit(copy.data());
    if (repair) RepairChecksums(copy.bytes());
    Weights opened;
    const Status status = Weights::Open(copy.bytes(), &opened);
    return status.ok() ? opened.Verify() : status;
  }
  // The same with a word at an offset.
  Status OpenWithWord(size_t at, uint32_t word) {
    return OpenPositions([&](std::byte* bytes) { memcpy(bytes + at, &word, sizeof(word)); });
  }
  // Verifies a copy of the file in which a column after the last of q's holds a number.
  Status VerifyWithPadding(uint32_t bits) {
    memcpy(memory.data(), file.data(), file.size());
    memcpy(memory.data() + sizes::kHeaderBytes + layer.config.embed_dim * sizeof(float), &bits,
           sizeof(bits));
    FileHeader header;
    memcpy(&header, memory.data(), sizeof(header));
    header.payload_crc =
        Crc32c(memory.data() + sizes::kHeaderBytes, file.size() - sizes::kHeaderBytes);
    header.header_crc = 0;
    memcpy(memory.data(), &header, sizeof(header));
    header.header_crc = Crc32c(memory.data(), sizes::kHeaderBytes);
    memcpy(memory.data(), &header, sizeof(header));
    Weights opened;
    const Status status = Weights::Open(ConstBytes(memory.data(), file.size()), &opened);
    return status.ok() ? opened.Verify() : status;
  }
  template <typename Edit>
  Status Create(const Edit& edit) {
    Limits edited = limits;
    LayerMemory lent = memory.bytes();
    CreateOptions options;
    edit(edited, lent, options);
    Attention made;
    return Attention::Create(edited, weights, lent, &made, options);
  }
  template <typename Edit>
  Status Measure(const Edit& edit) {
    Limits edited = limits;
    MutableBytes lent = memory.bytes();
    ErrorReport report;
    ErrorReport* to = &report;
    edit(edited, lent, to);
    return MeasureError(layer.config, layer.tensors(), edited, call.args(), lent, to);
  }
};

struct Case {
  const char* file;
  const char* site;  // a part of the statement
  std::string sentence;
  std::function<Status(Things&)> call;  // null where this build or CPU cannot come there
};

// A status of the C interface.
Status FromC(const heed_status& c) {
  Status status;
  status.code = static_cast<StatusCode>(c.code);
  status.expected_form = static_cast<NumberForm>(c.expected_form);
  status.actual_form = static_cast<NumberForm>(c.actual_form);
  status.argument = c.argument;
  status.expectation = c.expectation;
  status.expected = c.expected;
  status.actual = c.actual;
  return status;
}

std::vector<Case> CasesOfWeights() {
  const char* const config = "weights/config.cc";
  const char* const fields = "weights/config_fields.cc";
  const char* const sections = "weights/sections.cc";
  const char* const open = "weights/open.cc";
  const auto with = [](auto edit) {
    return [edit](Things& t) { return t.Config(edit); };
  };
  const auto header = [](auto edit) {
    return [edit](Things& t) { return t.Open(edit); };
  };
  return {
      {config, "name, \"1 to\"",
       "bad config: config.embed_dim: expected 1 to 1048576, got 0",
       with([](AttentionConfig& c) { c.embed_dim = 0; })},
      {config, "name, \"1 to\"",
       "bad config: config.kdim: expected 1 to 1048576, got 4294967295",
       with([](AttentionConfig& c) { c.kdim = UINT32_MAX; })},
      {config, "input.expectation",
       "bad config: config.vdim: expected with integer weights at most 131072, got 131073",
       with([](AttentionConfig& c) { c.vdim = 131073, c.weights = WeightType::kInt8; })},
      {config, "input.expectation",
       "bad config: config.num_heads: expected with integer weights num_heads * head_dim of at "
       "most 131072, got 200000",
       with([](AttentionConfig& c) { c.head_dim = 100000, c.weights = WeightType::kInt4; })},
      {config, "built_with, kWeights", "", nullptr},  // tests/device/types_main.cc
      {config, "built_with, kCore", "", nullptr},
      {config, "a divisor of embed_dim",
       "bad config: config.num_heads: expected a divisor of embed_dim = 8, got 3",
       with([](AttentionConfig& c) { c.num_heads = 3; })},
      {config, "a divisor of num_heads",
       "bad config: config.num_kv_heads: expected a divisor of num_heads = 2, got 3",
       with([](AttentionConfig& c) { c.num_kv_heads = 3; })},
      {config, "\"num_heads * head_dim of at most\"",
       "bad config: config.num_heads: expected num_heads * head_dim of at most 1048576, got "
       "2097152",
       with([](AttentionConfig& c) { c.head_dim = 1048576; })},
      {config, "config.scale", "bad config: config.scale: expected a finite number, got nan",
       with([](AttentionConfig& c) { c.scale = kNan; })},
      {config, "config.softcap",
       "bad config: config.softcap: expected a finite number, 0 or above, got -0.5",
       with([](AttentionConfig& c) { c.softcap = -0.5f; })},
      {config, "config.softcap",
       "bad config: config.softcap: expected a finite number, 0 or above, got inf",
       with([](AttentionConfig& c) { c.softcap = INFINITY; })},
      {config, "config.window",
       "bad config: config.window: expected at most 2147483647, got 2147483648",
       with([](AttentionConfig& c) { c.window = 2147483648u; })},
      {config, "\"f32, bf16",
       "unsupported: config.weights: expected f32, bf16, int8 or int4, got 9",
       with([](AttentionConfig& c) { c.weights = static_cast<WeightType>(9); })},
      {config, "\"f32 or int8\"", "unsupported: config.core: expected f32 or int8, got 9",
       with([](AttentionConfig& c) { c.core = static_cast<CoreType>(9); })},
      {config, "config.head_dim",
       "bad config: config.head_dim: expected with core int8 at most 65536, got 65537",
       with([](AttentionConfig& c) { c.head_dim = 65537, c.core = CoreType::kInt8; })},
      {config, "none, half",
       "unsupported: config.rope_style: expected none, half or interleaved: 0 to 2, got 3",
       with([](AttentionConfig& c) { c.rope_style = static_cast<RopeStyle>(3); })},
      {config, "built with positions", "", nullptr},  // a library without them
      {config, "field.unused",
       "bad config: config.rope_dims: expected 0 without rope_style, got 4",
       with([](AttentionConfig& c) { c.rope_dims = 4; })},
      {config, "field.unused",
       "bad config: config.norm_eps: expected 0 without q_norm or k_norm, got -0",
       with([](AttentionConfig& c) { c.norm_eps = -0.0f; })},
      {config, "\"config.rope_dims\"",
       "bad config: config.rope_dims: expected an even number, 2 to 4, got 3",
       with([](AttentionConfig& c) { c = c.WithRope(RopeStyle::kHalf, 3); })},
      {config, "\"config.rope_factor\"",
       "bad config: config.rope_factor: expected a finite number above 0, got -0.5",
       with([](AttentionConfig& c) {
         c = c.WithRope(RopeStyle::kHalf), c.rope_factor = -0.5f;
       })},
      {config, "\"config.norm_eps\"",
       "bad config: config.norm_eps: expected a finite number of at least 7.888609e-31, got nan",
       with([](AttentionConfig& c) { c.k_norm = true, c.norm_eps = kNan; })},
      {config, "a packed file that fits",
       "bad config: config: expected a packed file that fits the address space",
       kIs64Bit ? std::function<Status(Things&)>() : with([](AttentionConfig& c) {
         c.embed_dim = c.head_dim = kMaxDimension, c.num_heads = 1;
       })},

      {"weights/config_fields.cc", "the file to hold",
       "config mismatch: config.num_heads: expected the file to hold 4, got 2",
       [](Things& t) {
         AttentionConfig other = t.layer.config;
         other.num_heads = 4;
         Attention made;
         return Attention::Create(other, t.limits, t.weights, t.memory.bytes(), &made);
       }},
      {"weights/config_fields.cc", "the file to hold",
       "config mismatch: config.scale: expected the file to hold -0.75, got 0.5",
       [](Things& t) {
         AttentionConfig other = t.layer.config;
         other.scale = -0.75f;
         Attention made;
         return Attention::Create(other, t.limits, t.weights, t.memory.bytes(), &made);
       }},
      {"weights/config_fields.cc", "the file to hold",
       "config mismatch: config.q_bias: expected the file to hold false, got true",
       [](Things& t) {
         AttentionConfig other = t.layer.config;
         other.q_bias = false;
         Attention made;
         return Attention::Create(other, t.limits, t.weights, t.memory.bytes(), &made);
       }},
      {"weights/config_fields.cc", "the file to hold",
       "config mismatch: config.weights: expected the file to hold bf16, got f32",
       [](Things& t) {
         AttentionConfig other = t.layer.config;
         other.weights = WeightType::kBf16;
         Attention made;
         return Attention::Create(other, t.limits, t.weights, t.memory.bytes(), &made);
       }},

      {fields, "the bytes of a tagged field",
       "bad header: file: expected the bytes of a tagged field, 12, got 11",
       [](Things& t) { return t.OpenWithWord(256 + 16, 71); }},
      {fields, "of ids", "unsupported: file: expected tagged fields of ids 1 to 6, got 7",
       [](Things& t) { return t.OpenWithWord(448, 7); }},
      {fields, "by rising id",
       "bad header: file: expected tagged fields by rising id, above 1, got 1",
       [](Things& t) { return t.OpenWithWord(448 + 12, 1); }},
      {fields, "of type",
       "bad header: config.rope_factor: expected a tagged field of type 2, got 1",
       [](Things& t) { return t.OpenWithWord(448 + 24, 3 | 1 << 16); }},
      {fields, "a count of",
       "bad header: config.rope_style: expected a tagged field with a count of 1, got 0",
       [](Things& t) { return t.OpenWithWord(448 + 4, 0); }},
      {fields, "a bool of 1",
       "bad header: config.q_norm: expected a bool of 1, or a number other than 0, got 2",
       [](Things& t) { return t.OpenWithWord(448 + 44, 2); }},
      {sections, "\"file\", expectation, expected",
       "bad header: file: expected a first section of kind 1, got 2",
       [](Things& t) { return t.OpenWithWord(256, 2); }},
      {sections, "\"file\", expectation, expected",
       "bad header: file: expected a first section with offset 448, got 512",
       [](Things& t) { return t.OpenWithWord(256 + 8, 512); }},
      {sections, "\"file\", expectation, expected",
       "bad header: file: expected the next section to be of kind 4, got 5",
       [](Things& t) { return t.OpenWithWord(256 + 3 * 32, 5); }},
      {sections, "\"file\", expectation, expected",
       "bad header: file: expected the next section to begin at offset 576, got 640",
       [](Things& t) { return t.OpenWithWord(256 + 32 + 8, 640); }},
      {sections, "\"file\", expectation, expected",
       "bad header: file: expected the bytes of a section, 8, got 12",
       [](Things& t) { return t.OpenWithWord(256 + 2 * 32 + 16, 12); }},
      {sections, "\"file\", expectation, expected",
       "bad header: file: expected the last word of a section's entry to be 0, got 9",
       [](Things& t) { return t.OpenWithWord(256 + 28, 9); }},
      {sections, "kBadChecksum", "",  // the sums depend on the file
       [](Things& t) {
         return t.OpenPositions([](std::byte* bytes) { bytes[257] ^= std::byte{1}; }, false);
       }},
      {sections, "kBadChecksum", "",
       [](Things& t) {
         return t.OpenPositions([](std::byte* bytes) { bytes[460] ^= std::byte{1}; }, false);
       }},
      {sections, "a section table within",
       "bad header: file: expected a section table within the file, of at most 65536, got 0",
       [](Things& t) { return t.OpenWithWord(80, 0); }},
      {sections, "sections of kinds", "unsupported: file: expected sections of kinds 1 to 5, got 6",
       [](Things& t) { return t.OpenWithWord(256 + 4 * 32, 6); }},
      {sections, "sections with flags",
       "unsupported: file: expected sections with flags 0x00000000, got 0x00000003",
       [](Things& t) { return t.OpenWithWord(256 + 4 * 32 + 4, 3); }},
      {sections, "the bytes of all tagged fields",
       "bad header: file: expected the bytes of all tagged fields, at most 2624, got 4294967295",
       [](Things& t) { return t.OpenWithWord(256 + 16, UINT32_MAX); }},
      {sections, "each byte between",
       "bad payload: file: expected each byte between sections to be 0, got 200",
       [](Things& t) { return t.OpenWithWord(448 + 72, 200); }},

      {open, "header_bytes =", "bad header: file: expected header_bytes = 256, got 128",
       header([](FileHeader& h) { h.header_bytes = 128; })},
      {open, "panel_columns =", "bad header: file: expected panel_columns = 16, got 4294967295",
       header([](FileHeader& h) { h.panel_columns = UINT32_MAX; })},
      {open, "no flags but",
       "bad header: file: expected no flags but 0x0000003f, got 0x8000000f",
       header([](FileHeader& h) { h.config[kFlagsWord] |= 0x80000000u; })},
      {open, "each reserved byte",
       "bad header: file: expected each reserved byte to be 0, got 200",
       [](Things& t) {
         const AlignedBytes copy(t.file.size());
         memcpy(copy.data(), t.file.data(), copy.size());
         copy.data()[255] = std::byte{200};
         memset(copy.data() + 12, 0, 4);
         const uint32_t crc = Crc32c(copy.data(), sizes::kHeaderBytes);
         memcpy(copy.data() + 12, &crc, 4);
         Weights opened;
         return Weights::Open(copy.bytes(), &opened);
       }},
      {open, "a config without defaults",
       "bad header: file: expected a config without defaults in place of numbers",
       header([](FileHeader& h) { h.config[4] = 0; })},
      {open, "\"weights\", \"an address\"", "null pointer: weights: expected an address",
       [](Things& t) { return Weights::Open(t.file.bytes(), nullptr); }},
      {open, "the bytes of a header",
       "bad header: file: expected the bytes of a header, at least 256, got 0",
       [](Things& t) { return t.Open([](FileHeader&) {}, true, 0); }},
      {open, "the first bytes",
       "not a heed file: file: expected the first bytes 'HEED', got '\\x89PNG'",
       header([](FileHeader& h) { memcpy(h.magic, "\x89PNG", 4); })},
      {open, "the first bytes",
       "not a heed file: file: expected the first bytes 'HEED', got '\\x00\\x27\\x5c~'",
       [](Things& t) {
         return t.Open([](FileHeader& h) { memcpy(h.magic, "\0'\\~", 4); }, true, 4);
       }},
      {open, "kBadVersion", "bad version: file: expected version 1 to 2, got 3",
       header([](FileHeader& h) { h.version = 3; })},
      {open, "the version that its config needs",
       "bad header: file: expected the version that its config needs, 1, got 2",
       [](Things& t) {
         return t.OpenPositions([](std::byte* bytes) { memset(bytes + 256 + 16, 0, 8); });
       }},
      {open, "the sections that its config needs",
       "bad header: file: expected the sections that its config needs, 5, got 6",
       [](Things& t) {
         return t.OpenPositions([](std::byte* bytes) {
           bytes[80] = std::byte{6};
           memcpy(bytes + 256 + 5 * 32, bytes + 256 + 4 * 32, 32);
         });
       }},
      {open, "a header with CRC", "",  // below: the sum depends on the file
       [](Things& t) { return t.Open([](FileHeader&) {}, false); }},
      {open, "file_bytes to be",
       "bad header: file: expected file_bytes to be the packed size of its config, 2560, got "
       "18446744073709551615",
       header([](FileHeader& h) { h.file_bytes = UINT64_MAX; })},
      {open, "the bytes of a whole file",
       "bad header: file: expected the bytes of a whole file, at least 2560, got 2559",
       [](Things& t) { return t.Open([](FileHeader&) {}, true, t.file.size() - 1); }},
      {open, "an opened file", "null pointer: weights: expected an opened file",
       [](Things&) { return Weights().Verify(); }},
      {open, "a payload with CRC", "",
       [](Things& t) {
         t.file.data()[300] ^= std::byte{1};
         return t.weights.Verify();
       }},

      {"weights/pack.cc", "as the config needs it",
       "null pointer: v_bias: expected an address, as the config needs it",
       [](Things& t) {
         return t.Pack([](LayerTensors& tensors, MutableBytes&) { tensors.v_bias = nullptr; });
       }},
      {"weights/pack.cc", "an angle of",
       "bad value: rope_frequencies: expected an angle of -1.5 to 1.5, got -2",
       [](Things& t) {
         const LayerTensors tensors = [&t] {
           LayerTensors made = t.layer.tensors();
           t.floats[1] = -2.0f;
           made.rope_frequencies = t.floats.data();
           return made;
         }();
         return PackWeights(t.layer.config.WithRope(RopeStyle::kHalf), tensors, t.memory.bytes());
       }},
      {"weights/unpack.cc", "\"projection\"", "null pointer: projection: expected an address",
       [](Things& t) {
         return UnpackProjection(t.weights, ProjectionKind::kKey, t.memory.bytes(), nullptr);
       }},
      {"weights/unpack.cc", "an opened file", "null pointer: weights: expected an opened file",
       [](Things& t) {
         UnpackedProjection made;
         return UnpackProjection(Weights(), ProjectionKind::kKey, t.memory.bytes(), &made);
       }},
      {"weights/unpack.cc", "a ProjectionKind",
       "bad value: kind: expected a ProjectionKind, below 4, got 4294967295",
       [](Things& t) {
         UnpackedProjection made;
         return UnpackProjection(t.weights, static_cast<ProjectionKind>(-1), t.memory.bytes(),
                                 &made);
       }},
      {"weights/verify.cc", "kBadPayload",
       "bad payload: q_weight: expected zeros where the layer has no number, got 0x00000001",
       [](Things& t) { return t.VerifyWithPadding(1); }},
      {"weights/verify.cc", "kBadPayload",
       "bad payload: rope_frequencies: expected an angle of -1.5 to 1.5, got inf",
       [](Things& t) { return t.OpenWithWord(576 + t.file.size() - 256, 0x7f800000u); }},
  };
}

std::vector<Case> CasesOfMemory() {
  const char* const file = "support/check_memory.cc";
  return {
      {file, "an address", "null pointer: block: expected an address",
       [](Things& t) {
         return t.Create([](Limits&, LayerMemory& lent, CreateOptions&) {
           lent = MutableBytes(nullptr, 100);
         });
       }},
      {file, "kMisaligned",
       "misaligned: workspace: expected the address modulo 64 to be 0, got 63",
       [](Things& t) {
         return t.Create([](Limits&, LayerMemory& lent, CreateOptions&) {
           std::byte* const data = lent.plan.data;
           lent = LayerMemory(MutableBytes(data, 4096), MutableBytes(data + 4095, 9999));
         });
       }},
      {file, "kMisaligned", "misaligned: query: expected the address modulo 4 to be 0, got 2",
       [](Things& t) {
         return t.Forward([](ForwardArgs& a) { a.query.data = Shifted(a.query.data, 2); });
       }},
      {file, "kMisaligned", "misaligned: bias: expected the address modulo 4 to be 0, got 1",
       [](Things& t) {
         return t.Forward([](ForwardArgs& a) { a.bias.data = Shifted(a.bias.data, 1); });
       }},
      {file, "kMisaligned", "misaligned: offsets: expected the address modulo 8 to be 0, got 4",
       [](Things& t) {
         return t.Forward([&t](ForwardArgs& a) {
           a.offset = 0;
           a.offsets = Offsets(Shifted(t.offsets.data(), 4), 2);
         });
       }},
      {file, "kBlockTooSmall",
       "block too small: out: expected PackedWeightsBytes(config) = 2560, got 0",
       [](Things& t) {
         return t.Pack([](LayerTensors&, MutableBytes& out) { out.size = 0; });
       }},
      {file, "kBlockTooSmall",
       "block too small: block: expected WorkspaceBytes(config, limits) = " +
           to_string(WorkspaceBytes(Shape(8, 2), [] {
             Limits limits;
             limits.max_query_len = 5;
             return limits;
           }())) +
           ", got 64",
       [](Things& t) {
         return t.Create(
             [](Limits&, LayerMemory& lent, CreateOptions&) { lent.plan.size = 64; });
       }},
      // The block is checked before the overlap that a larger one would have.
      {file, "kBlockTooSmall",
       "block too small: block: expected SdpaWorkspaceBytes(limits) = " + to_string([] {
         SdpaLimits limits;
         limits.max_key_len = 4;
         limits.max_head_dim = 2;
         return SdpaWorkspaceBytes(limits);
       }()) + ", got 64",
       [](Things& t) {
         return t.Sdpa([](SdpaArgs& a, SdpaLimits&, MutableBytes& block) {
           block.size = 64;
           a.output.data = reinterpret_cast<float*>(block.data + 64);
         });
       }},
      {file, "kOverlap", "overlap: workspace: expected no memory shared with the plan",
       [](Things& t) {
         return t.Create([](Limits&, LayerMemory& lent, CreateOptions&) {
           const MutableBytes all = lent.plan;
           lent = LayerMemory(all, MutableBytes(all.data + 64, all.size - 64));
         });
       }},
      {file, "kOverlap", "overlap: block: expected no memory shared with the packed file",
       [](Things& t) {
         memcpy(t.memory.data(), t.file.data(), t.file.size());
         Weights inside;
         REQUIRE(Weights::Open(t.memory.bytes(), &inside).ok());
         Attention made;
         return Attention::Create(t.limits, inside, t.memory.bytes(), &made);
       }},
  };
}

// Create in a thread that does not round to nearest. Armv7's NEON does so whatever the mode.
std::function<Status(Things&)> CreateRoundingUp() {
#if defined(FE_UPWARD) && !defined(__arm__)
  return [](Things& t) {
    std::fesetround(FE_UPWARD);
    const Status status = t.Create([](Limits&, LayerMemory&, CreateOptions&) {});
    std::fesetround(FE_TONEAREST);
    return status;
  };
#else
  return nullptr;
#endif
}

std::vector<Case> CasesOfCreate() {
  const char* const create = "core/create.cc";
  const auto limit = [](auto edit) {
    return [edit](Things& t) {
      return t.Create([edit](Limits& l, LayerMemory&, CreateOptions&) { edit(l); });
    };
  };
  return {
      {"core/check_build.cc", "kBadBuild",
       "bad build: arithmetic: expected rounding to nearest, and a library built without flags "
       "such as -ffast-math",
       CreateRoundingUp()},
      {"core/check.cc", "name, \"1 to\"",
       "bad value: limits.max_batch: expected 1 to 1048576, got 0",
       limit([](Limits& l) { l.max_batch = 0; })},
      {"core/check.cc", "name, \"1 to\"",
       "bad value: limits.max_query_len: expected 1 to 1048576, got 0",
       limit([](Limits& l) { l.max_query_len = 0; })},
      {"core/check.cc", "name, \"1 to\"",
       "bad value: limits.max_key_len: expected 1 to 1048576, got 4294967295",
       limit([](Limits& l) { l.max_key_len = UINT32_MAX; })},
      {"core/check.cc", "name, \"1 to\"",
       "bad value: limits.max_workers: expected 1 to 1048576, got 0",
       [](Things& t) {
         return t.Measure(
             [](Limits& l, MutableBytes&, ErrorReport*&) { l.max_workers = 0; });
       }},
      {create, "\"layer\"", "null pointer: layer: expected an address",
       [](Things& t) {
         return Attention::Create(t.limits, t.weights, t.memory.bytes(), nullptr);
       }},
      {create, "an opened file", "null pointer: weights: expected an opened file",
       [](Things& t) {
         Attention made;
         return Attention::Create(t.limits, Weights(), t.memory.bytes(), &made);
       }},
      {create, "an opened file", "null pointer: weights: expected an opened file",
       [](Things& t) {
         Attention made;
         return Attention::Create(t.layer.config, t.limits, Weights(), t.memory.bytes(), &made);
       }},
      {create, "a project function",
       "null pointer: options.projection_backend: expected a project function",
       [](Things& t) {
         const ProjectionBackend backend;
         return t.Create([&backend](Limits&, LayerMemory&, CreateOptions& o) {
           o.projection_backend = &backend;
         });
       }},
      {create, "a workspace that fits",
       "bad value: limits: expected a workspace that fits the address space",
       kIs64Bit ? std::function<Status(Things&)>() : limit([](Limits& l) {
         l.max_batch = l.max_query_len = kMaxDimension;
       })},
      {"core/targets.cc", "kUnknownTarget",
       "unknown target: options.target: expected a name that TargetName gives, or REFERENCE",
       [](Things& t) {
         return t.Create([](Limits&, LayerMemory&, CreateOptions& o) { o.target = "NEON9"; });
       }},
      {"core/report.cc", "\"report\"", "null pointer: report: expected an address",
       [](Things& t) {
         return t.Measure(
             [](Limits&, MutableBytes&, ErrorReport*& report) { report = nullptr; });
       }},
      {"core/report.cc", "memory that fits",
       "bad value: limits: expected memory that fits the address space",
       kIs64Bit ? std::function<Status(Things&)>() : [](Things& t) {
         return t.Measure([](Limits& l, MutableBytes&, ErrorReport*&) {
           l.max_batch = l.max_query_len = kMaxDimension;
         });
       }},
  };
}

// An executor that calls the layer again, and keeps the answer.
struct Nested {
  Things* things;
  Status status;
};
void RunNested(void* context, size_t num_tasks, TaskFunction function, void* argument) {
  Nested* const nested = static_cast<Nested*>(context);
  nested->status = nested->things->Forward([](ForwardArgs&) {});
  for (size_t task = 0; task < num_tasks; ++task) function(argument, task, 0);
}

// A call that appends three rows to a cache of two entries, or reads a memory.
struct CachedCall {
  LayerData layer;
  CacheLimits cache_limits;
  Limits limits;
  std::vector<float> floats = std::vector<float>(200, 0.5f);
  std::vector<int32_t> integers{1, 2, 3, 4, 5};
  AlignedBytes block{size_t{1} << 17};
  KvCache cache;
  ForwardArgs args;
  bool reuses_block = false;  // the cache was made before

  explicit CachedCall(bool is_ring = false, bool has_rope = false) {
    AttentionConfig config = Shape(8, 2);
    if (has_rope) config = config.WithRope(RopeStyle::kHalf);
    Random random(4);
    layer = NormalLayer(config, random);
    limits.max_batch = 3;
    limits.max_query_len = 6;
    cache_limits.max_batch = 2;
    cache_limits.capacity = is_ring ? 0 : 10;
    cache_limits.window = is_ring ? 4 : 0;
    cache_limits.max_new_rows = 5;
    args.query = ConstTensorView(floats.data(), 1, 3, 8);
    args.output = TensorView(floats.data() + 100, 1, 3, 8);
    args.causal = true;
    if (is_ring) args.window = 4;
  }
  Status Init() { return KvCache::Init(layer.config, cache_limits, block.bytes(), &cache); }
  Status Forward() {
    if (!reuses_block) REQUIRE(Init().ok());
    return Runner(layer, limits).Forward(args);
  }
  Status Remember(const Lengths& lengths = {}) {
    REQUIRE(Init().ok());
    const ConstTensorView key(floats.data(), args.query.batch, args.query.rows, args.query.columns);
    return Runner(layer, limits).layer().Remember(key, {}, lengths, nullptr, &cache);
  }
};

struct NestedCached {
  const Runner* runner;
  CachedCall* call;
  bool remembers;
  Status status;
};
void RunNestedCached(void* context, size_t num_tasks, TaskFunction function, void* argument) {
  NestedCached* const nested = static_cast<NestedCached*>(context);
  ForwardArgs args = nested->call->args;
  args.executor = nullptr;
  const ConstTensorView key(args.query);
  nested->status = nested->remembers
                       ? nested->runner->layer().Remember(key, {}, {}, nullptr, args.cache)
                       : nested->runner->Forward(args);
  for (size_t task = 0; task < num_tasks; ++task) function(argument, task, 0);
}

std::vector<Case> CasesOfCachedCalls() {
  const char* const check = "core/check_cache.cc";
  // A call that appends, after an edit.
  const auto append = [](auto edit, bool is_ring = false, bool has_rope = false) {
    return [edit, is_ring, has_rope](Things&) {
      CachedCall c(is_ring, has_rope);
      c.args.cache = &c.cache;
      edit(c);
      return c.Forward();
    };
  };
  const auto without = [](auto edit, bool has_rope = false) {
    return [edit, has_rope](Things&) {
      CachedCall c(false, has_rope);
      edit(c);
      return c.Forward();
    };
  };
  const auto remember = [](auto edit) {
    return [edit](Things&) {
      CachedCall c;
      edit(c);
      return c.Remember();
    };
  };
  const auto nested = [](bool remembers) {
    return [remembers](Things&) {
      CachedCall c;
      REQUIRE(c.Init().ok());
      c.limits.max_workers = 2;
      const Runner runner(c.layer, c.limits);
      NestedCached context{&runner, &c, remembers, Status()};
      Executor executor;
      executor.context = &context;
      executor.num_workers = 2;
      executor.run = RunNestedCached;
      executor.min_multiply_adds = 0;
      c.args.executor = &executor;
      c.args.cache = &c.cache;
      const Status outer = runner.Forward(c.args);
      return outer.ok() ? context.status : outer;
    };
  };
  using C = CachedCall;
  return {
      {"core/forward.cc", "Fail(StatusCode::kBusy, name, expectation)",
       "busy: cache: expected no other call with this cache at the same time", nested(false)},
      {"core/forward.cc", "Fail(StatusCode::kBusy, name, expectation)",
       "busy: memory: expected no other call with this cache at the same time", nested(true)},
      {"core/forward.cc", "\"memory\", \"a cache\"", "null pointer: memory: expected a cache",
       [](Things& t) {
         return t.call.runner().layer().Remember(t.call.args().key, {}, {}, nullptr, nullptr);
       }},
      {"core/forward.cc", "as this library has no caches", "", nullptr},
      {check, "as this library has no caches", "", nullptr},
      {"core/check.cc", "Fail(code, name, \"a number for each",
       "bad shape: new_rows: expected a number for each batch entry of query, 1, got 2",
       append([](C& c) { c.args.new_rows = NewRows(c.integers.data(), 2); })},
      {check, "\"new_rows\", \"numbers from",
       "bad value: new_rows: expected numbers from 0 to the length of query, 3, got 4",
       append([](C& c) { c.args.new_rows = NewRows(c.integers.data() + 3, 1); })},
      {check, "\"window\", \"1 to",
       "bad value: window: expected 1 to the window of the cache, 4, got 5",
       append([](C& c) { c.args.window = 5; }, true)},
      {check, "\"window_right\"",
       "bad value: window_right: expected 0, as the cache is a ring, got 1",
       append([](C& c) { c.args.causal = false, c.args.window_right = 1; }, true)},
      {check, "\"first_keys\"",
       "bad value: first_keys: expected at most the first_keys of the cache, 0, got 1",
       append([](C& c) { c.args.first_keys = 1; }, true)},
      {check, "as a ring does not keep",
       "unsupported: attention_weights: expected none, as a ring does not keep all keys",
       append([](C& c) { c.args.attention_weights = TensorView(c.floats.data() + 60, 1, 2, 3, 3); },
              true)},
      {"core/call.cc", "kOverLimit",
       "over limit: query: expected a batch dimension of at most the max_batch of the cache, 2, "
       "got 3",
       append([](C& c) { c.args.query.batch = 3; })},
      {"core/call.cc", "kOverLimit",
       "over limit: query: expected a length of at most the max_new_rows of the cache, 5, got 6",
       append([](C& c) { c.args.query.rows = 6; })},
      {check, "as the cache says where",
       "bad value: offset: expected none, as the cache says where rows begin",
       append([](C& c) { c.args.offset = 1; })},
      {check, "as the cache says where",
       "bad value: offsets: expected none, as the cache says where rows begin",
       [](Things& t) {
         CachedCall c;
         c.args.cache = &c.cache;
         c.args.offsets = Offsets(t.offsets.data(), 1);
         return c.Forward();
       }},
      {check, "kCacheFull, \"cache\"",
       "cache full: cache: expected room for all keys of an entry, capacity = 10, got 12",
       append([](C& c) {
         REQUIRE(c.Init().ok());
         CacheAccess::Lengths(c.cache)[0] = 9;
         c.reuses_block = true;
       })},
      {check, "\"positions below\"",
       "over limit: query: expected positions below 1048576, got 1048577",
       append([](C& c) {
         REQUIRE(c.Init().ok());
         CacheAccess::Lengths(c.cache)[0] = kMaxPosition;
         c.reuses_block = true;
       }, true, true)},
      {check, "\"memory\", \"a linear cache\"", "unsupported: memory: expected a linear cache",
       [](Things&) {
         CachedCall c(true);
         c.args.memory = &c.cache;
         return c.Forward();
       }},
      {check, "\"memory\", \"a linear cache\"", "unsupported: memory: expected a linear cache",
       [](Things&) { return CachedCall(true).Remember(); }},
      {"core/call.cc", "kOverLimit",
       "over limit: query: expected a batch dimension of at most the max_batch of the memory, 2, "
       "got 3",
       without([](C& c) { c.args.memory = &c.cache, c.args.query.batch = 3; })},
      {check, "as new_rows are given", "bad shape: cache: expected a cache, as new_rows are given",
       without([](C& c) { c.args.new_rows = NewRows(c.integers.data(), 1); })},
      {check, "as limits.cached is set",
       "bad shape: cache: expected a cache or a memory, as limits.cached is set",
       without([](C& c) { c.limits.cached = true; })},
      {check, "\"memory\", \"none, as a cache is given\"",
       "bad shape: memory: expected none, as a cache is given",
       append([](C& c) { c.args.memory = &c.cache; })},
      {check, "args.key.present() ? \"key\"", "bad shape: key: expected none, as a cache is given",
       append([](C& c) { c.args.key = c.args.query; })},
      {check, "args.key.present() ? \"key\"",
       "bad shape: value: expected none, as a memory is given",
       without([](C& c) { c.args.memory = &c.cache, c.args.value = c.args.query; })},
      {check, "\"for rotary positions of all",
       "over limit: offset: expected for rotary positions of all rows at most 1048573, got 1048574",
       without([](C& c) { c.args.offset = 1048574; }, true)},
      {check, "\"for rotary positions at least",
       "over limit: offset: expected for rotary positions at least -1048575, got -1048576",
       without([](C& c) { c.args.offset = -1048576; }, true)},
      {check, "as the layer has no rotary",
       "bad value: positions: expected none, as the layer has no rotary positions",
       without([](C& c) { c.args.positions = Positions(c.integers.data(), 1, 3); })},
      {check, "\"positions\", \"a batch",
       "bad shape: positions: expected a batch dimension of 1 or query's 1, got 2",
       without([](C& c) { c.args.positions = Positions(c.integers.data(), 2, 3); }, true)},
      {check, "\"positions\", \"a length",
       "bad shape: positions: expected a length of query's 3, got 2",
       without([](C& c) { c.args.positions = Positions(c.integers.data(), 1, 2); }, true)},
      {check, "\"positions\", \"numbers",
       "over limit: positions: expected numbers from 0 to 1048575, got -1",
       without([](C& c) {
         c.integers[1] = -1;
         c.args.positions = Positions(c.integers.data(), 1, 3);
       }, true)},
      {check, "what the entry of the cache",
       "bad mask: lengths: expected what the entry of the cache has after the call, 3, got 2",
       append([](C& c) { c.args.lengths = Lengths(c.integers.data() + 1, 1); })},
      {"core/call.cc", "kOverLimit",
       "over limit: key: expected a batch dimension of at most the max_batch of the memory, 2, "
       "got 3",
       remember([](C& c) { c.args.query.batch = 3; })},
      {check, "kCacheFull, \"memory\"",
       "cache full: memory: expected room for all keys of an entry, capacity = 2, got 3",
       remember([](C& c) { c.cache_limits.capacity = c.cache_limits.max_new_rows = 2; })},
      {"core/overlap.cc", "output.name, lent.expectation",
       "overlap: output: expected no memory shared with the cache",
       append([](C& c) {
         c.args.output.data = reinterpret_cast<float*>(c.block.data() + 1024);
       })},
      {"core/overlap.cc", "lent.name, other->expectation",
       "overlap: cache: expected no memory shared with the block",
       [](Things&) {
         CachedCall c;
         const Runner runner(c.layer, c.limits);
         const size_t plan = PlanBytes(c.layer.config);
         const MutableBytes block = runner.block().bytes();
         REQUIRE(KvCache::Init(c.layer.config, c.cache_limits,
                               MutableBytes(block.data + plan, block.size - plan), &c.cache).ok());
         c.args.cache = &c.cache;
         return runner.Forward(c.args);
       }},
  };
}

std::vector<Case> CasesOfForward() {
  const char* const forward = "core/forward.cc";
  const char* const check = "core/check.cc";
  const char* const shape = "Fail(code, name, texts[i]";
  const char* const overlap = "core/overlap.cc";
  const auto with = [](auto edit) {
    return [edit](Things& t) { return t.Forward([&](ForwardArgs& a) { edit(a, t); }); };
  };
  using Args = ForwardArgs;
  std::vector<Case> cases = {
      {forward, "as value is given", "bad shape: key: expected a tensor, as value is given",
       with([](Args& a, Things&) { a.key = ConstTensorView(); })},
      {forward, "a layer that Create made",
       "null pointer: layer: expected a layer that Create made",
       [](Things& t) { return Attention().Forward(t.call.args()); }},
      {forward, "kStalePlan",
       "stale plan: layer: expected the plan that Create wrote (each layer needs plan memory of "
       "its own)",
       [](Things& t) {
         memset(t.call.runner().block().data(), 0, PlanBytes(t.call.runner().config()));
         return t.call.runner().Forward(t.call.args());
       }},
      {forward, "\"explanation\"", "null pointer: explanation: expected an address",
       [](Things& t) { return t.call.runner().layer().Explain(t.call.args(), nullptr); }},
      {forward, "Fail(StatusCode::kBusy, name, expectation)",
       "busy: layer: expected no other call of this layer at the same time",
       [](Things& t) {
         Nested nested{&t, Status()};
         const Status outer = t.Forward([&](ForwardArgs& a) { t.RunOn(a, &nested, RunNested); });
         return outer.ok() ? nested.status : outer;
       }},
      {"core/run.cc", "executor.run",
       "bad value: executor.run: expected each task to run once, on a worker below num_workers "
       "that runs no other; tasks = 5, got 0",
       [](Things& t) {
         return t.Forward([&](ForwardArgs& a) {
           t.RunOn(a, nullptr, [](void*, size_t, TaskFunction, void*) {});
         });
       }},

      {check, "as this library has no caches", "", nullptr},
      {check, "\"window_right\"", "bad value: window_right: expected at least -1, got -2",
       with([](Args& a, Things&) { a.window_right = -2; })},
      {check, "\"first_keys\", \"at least\"", "bad value: first_keys: expected at least 0, got -1",
       with([](Args& a, Things&) { a.first_keys = -1; })},
      {"core/call.cc", "kOverLimit",
       "over limit: query: expected a batch dimension of at most limits.max_batch = 2, got 3",
       with([](Args& a, Things&) { a.query.batch = 3; })},
      {"core/call.cc", "kOverLimit",
       "over limit: query: expected a length of at most limits.max_query_len = 5, got 6",
       with([](Args& a, Things&) { a.query.rows = 6; })},
      {"core/call.cc", "kOverLimit",
       "over limit: key: expected a length of at most limits.max_key_len = 7, got 8",
       with([](Args& a, Things&) { a.key.rows = 8; })},
      {"core/call.cc", "kOverLimit",
       "over limit: query: expected a length of at most limits.max_key_len = 3, got 4",
       [](Things& t) {
         t.limits.max_key_len = 3;
         Attention layer;
         REQUIRE(Attention::Create(t.limits, t.weights, t.memory.bytes(), &layer).ok());
         ForwardArgs args;
         args.query = ConstTensorView(t.floats.data(), 1, 4, 8);
         return layer.Forward(args);
       }},

      {check, "\"a tensor\"", "bad shape: query: expected a tensor",
       with([](Args& a, Things&) { a = ForwardArgs(); })},
      {check, "\"a tensor\"", "bad shape: output: expected a tensor",
       with([](Args& a, Things&) { a.output = TensorView(); })},
      {check, shape,
       "bad shape: query: expected a last dimension of config.embed_dim = 8, got 7",
       with([](Args& a, Things&) { a.query.columns = 7; })},
      {check, shape, "bad shape: query: expected a head dimension of 1, got 2",
       with([](Args& a, Things&) { a.query.heads = 2; })},
      {check, shape, "bad shape: key: expected a batch dimension of query's 2, got 1",
       with([](Args& a, Things&) { a.key.batch = 1; })},
      {check, shape, "bad shape: key: expected a last dimension of config.kdim = 6, got 8",
       with([](Args& a, Things&) { a.key.columns = 8; })},
      {check, shape, "bad shape: value: expected a length of key's 7, got 6",
       with([](Args& a, Things&) { a.value.rows = 6; })},
      {check, shape, "bad shape: value: expected a last dimension of config.vdim = 10, got 6",
       with([](Args& a, Things&) { a.value.columns = 6; })},
      {check, shape,
       "bad shape: key: expected a value beside it, or a last dimension of config.vdim = 10, got 6",
       with([](Args& a, Things&) { a.value = ConstTensorView(); })},
      {check, shape,
       "bad shape: query: expected a key beside it, or a last dimension of config.kdim = 6, got 8",
       with([](Args& a, Things&) { a.key = a.value = ConstTensorView(); })},
      {check, shape,
       "bad shape: query: expected a key and a value beside it, or a last dimension of config.vdim "
       "= 3, got 8",
       [](Things& t) {
         Random random(5);
         AttentionConfig config = Shape(8, 2);
         config.vdim = 3;
         const Runner runner(NormalLayer(config, random), t.limits);
         ForwardArgs args;
         args.query = ConstTensorView(t.floats.data(), 1, 4, 8);
         return runner.Forward(args);
       }},
      {check, shape, "bad shape: output: expected a length of query's 5, got 4",
       with([](Args& a, Things&) { a.output.rows = 4; })},
      {check, shape,
       "bad shape: attention_weights: expected a last dimension of all keys, added ones included, "
       "8, got 7",
       with([](Args& a, Things&) { a.attention_weights.columns = 7; })},
      {check, shape, "bad shape: attention_weights: expected a head dimension of 1, got 2",
       with([](Args& a, Things&) { a.average_weights = true; })},
      {check, shape, "bad mask: keep: expected a batch dimension of 1 or query's 2, got 3",
       with([](Args& a, Things&) { a.keep.batch = 3; })},
      {check, shape, "bad mask: bias: expected a head dimension of 1 or the attention's 2, got 4",
       with([](Args& a, Things&) { a.bias.heads = 4; })},
      {check, shape,
       "bad mask: ignore: expected a query dimension of 1 or the length of query, 5, got 0",
       with([](Args& a, Things&) { a.ignore.query_len = 0; })},
      {check, shape,
       "bad mask: key_padding: expected a key dimension of 1 or the number of keys, 7, got 8",
       with([](Args& a, Things&) { a.key_padding.key_len = 8; })},
      {check, "kBadMask, name, \"strides that stay",
       "bad mask: bias: expected strides that stay inside the address space",
       with([](Args& a, Things&) { a.bias.query_stride = SIZE_MAX; })},
      {check, "kBadShape, name, \"strides that stay",
       "bad shape: value: expected strides that stay inside the address space",
       with([](Args& a, Things&) { a.value.batch_stride = SIZE_MAX / 2; })},
      {check, "a number for each",
       "bad mask: lengths: expected a number for each batch entry of query, 2, got 3",
       with([](Args& a, Things&) { a.lengths.count = 3; })},
      {check, "a number for each",
       "bad mask: offsets: expected a number for each batch entry of query, 2, got 0",
       with([](Args& a, Things& t) { a.offset = 0, a.offsets = Offsets(t.offsets.data(), 0); })},
      {check, "numbers from 0",
       "bad mask: lengths: expected numbers from 0 to the number of keys, 7, got -1",
       with([](Args&, Things& t) { t.call.lengths[1] = -1; })},
      {check, "numbers from 0",
       "bad mask: lengths: expected numbers from 0 to the number of keys, 7, got 8",
       with([](Args&, Things& t) { t.call.lengths[0] = 8; })},
      {check, "do not overlap, of",
       "bad shape: output: expected strides that do not overlap, of at least 8, got 0",
       with([](Args& a, Things&) { a.output.row_stride = 0; })},
      {check, "as offsets are given",
       "bad value: offset: expected 0, as offsets are given, got -3",
       with([](Args& a, Things& t) { a.offset = -3, a.offsets = Offsets(t.offsets.data(), 2); })},
      {check, "\"window\"",
       "bad value: window: expected at least 1, or 0 for none, got -9223372036854775808",
       with([](Args& a, Things&) { a.window = INT64_MIN; })},
      {check, "\"executor.num_workers\", \"at least\"",
       "bad value: executor.num_workers: expected at least 1, got 0",
       [](Things& t) {
         ReversedExecutor reversed(2);
         Executor executor = reversed.executor();
         executor.num_workers = 0;
         return t.Forward([&executor](Args& a) { a.executor = &executor; });
       }},
      {check, "at most limits.max_workers",
       "over limit: executor.num_workers: expected at most limits.max_workers = 2, got 3",
       [](Things& t) {
         ReversedExecutor reversed(2);
         Executor executor = reversed.executor();
         executor.num_workers = 3;
         return t.Forward([&executor](Args& a) { a.executor = &executor; });
       }},

      {overlap, "output.name, apart_from_input",
       "overlap: output: expected no memory shared with key",
       with([](Args& a, Things& t) { a.output.data = t.call.key.data(); })},
      {overlap, "output.name, apart_from_input",
       "overlap: output: expected no memory shared with query, unless it is exactly query",
       with([](Args& a, Things& t) {
         a.query.data = t.floats.data();
         a.output.data = t.floats.data() + 1;
       })},
      {overlap, "output.name, range.expectation",
       "overlap: output: expected no memory shared with bias",
       with([](Args& a, Things& t) { a.bias.data = a.output.data = t.floats.data(); })},
      {overlap, "output.name, lent.expectation",
       "overlap: output: expected no memory shared with the block",
       with([](Args& a, Things& t) {
         a.output.data = reinterpret_cast<float*>(t.call.runner().block().data());
       })},
      {overlap, "\"attention_weights\"",
       "overlap: attention_weights: expected no memory shared with output",
       with([](Args& a, Things& t) {
         a.attention_weights.data = a.output.data = t.floats.data();
       })},
      {overlap, "input.name, lent.expectation",
       "overlap: value: expected no memory shared with the block",
       with([](Args& a, Things& t) {
         a.value.data = reinterpret_cast<float*>(t.call.runner().block().data());
       })},
      {overlap, "lent.name, range.expectation",
       "overlap: block: expected no memory shared with keep",
       with([](Args& a, Things& t) {
         a.keep.data = reinterpret_cast<uint8_t*>(t.call.runner().block().data());
       })},
  };
  return cases;
}

std::vector<Case> CasesOfSdpa() {
  const char* const file = "core/sdpa.cc";
  const auto with = [](auto edit) {
    return [edit](Things& t) {
      return t.Sdpa([edit](SdpaArgs& a, SdpaLimits& l, MutableBytes&) { edit(a, l); });
    };
  };
  return {
      {file, "limits.max_key_len\", \"at most\"",
       "bad value: limits.max_key_len: expected at most 1048576, got 1048577",
       with([](SdpaArgs&, SdpaLimits& l) { l.max_key_len = 1048577; })},
      {"core/check.cc", "name, \"1 to\"",
       "bad value: limits.max_head_dim: expected 1 to 1048576, got 0",
       with([](SdpaArgs&, SdpaLimits& l) { l.max_head_dim = 0; })},
      {"core/check.cc", "name, \"1 to\"",
       "bad value: limits.max_value_dim: expected 1 to 1048576, got 4294967295",
       with([](SdpaArgs&, SdpaLimits& l) { l.max_value_dim = UINT32_MAX; })},
      {file, "a workspace that fits",
       "bad value: limits: expected a workspace that fits the address space",
       kIs64Bit ? std::function<Status(Things&)>() : with([](SdpaArgs&, SdpaLimits& l) {
         l.max_key_len = l.max_head_dim = kMaxDimension;
       })},
      {"core/call.cc", "kOverLimit",
       "over limit: query: expected a head dimension of at most 1048576, got 1048577",
       with([](SdpaArgs& a, SdpaLimits&) { a.query.heads = 1048577; })},
      {"core/call.cc", "kOverLimit",
       "over limit: value: expected a last dimension of at most limits.max_value_dim = 2, got 3",
       with([](SdpaArgs& a, SdpaLimits&) { a.value.columns = 3; })},
      {file, "\"query\", \"a last dimension",
       "bad shape: query: expected a last dimension of at least 1, got 0",
       with([](SdpaArgs& a, SdpaLimits&) { a.query.columns = 0; })},
      {file, "\"value\", \"a last dimension",
       "bad shape: value: expected a last dimension of at least 1, got 0",
       with([](SdpaArgs& a, SdpaLimits&) { a.value.columns = 0; })},
      {file, "\"query\", \"a head dimension",
       "bad shape: query: expected a head dimension of at least 1, got 0",
       with([](SdpaArgs& a, SdpaLimits&) { a.query.heads = 0; })},
      {file, "that divides query's",
       "bad shape: key: expected a head dimension that divides query's, 2, got 3",
       with([](SdpaArgs& a, SdpaLimits&) { a.key.heads = 3; })},
      {"core/check.cc", "Fail(code, name, texts[i]",
       "bad shape: key: expected a last dimension of query's 2, got 1",
       with([](SdpaArgs& a, SdpaLimits&) { a.key.columns = 1; })},
      {"core/check.cc", "Fail(code, name, texts[i]",
       "bad shape: output: expected a last dimension of value's 2, got 1",
       with([](SdpaArgs& a, SdpaLimits&) { a.output.columns = 1; })},
      {file, "\"scale\"", "bad value: scale: expected a finite number, got -inf",
       with([](SdpaArgs& a, SdpaLimits&) { a.scale = -INFINITY; })},
      {file, "\"softcap\"", "bad value: softcap: expected a finite number, 0 or above, got -1e-30",
       with([](SdpaArgs& a, SdpaLimits&) { a.softcap = -1e-30f; })},
      {file, "a library that is built with core", "", nullptr},  // a library of int8 alone
      {file, "\"explanation\"", "null pointer: explanation: expected an address",
       [](Things& t) {
         return ExplainScaledDotProductAttention(SdpaArgs(), t.sdpa_limits, nullptr);
       }},
  };
}

std::vector<Case> CasesOfC() {
  static heed_weights weights;  // not opened
  static heed_attention layer;
  static unsigned char bytes[64];
  heed_limits limits = HEED_LIMITS_INIT;
  limits.max_query_len = 1;
  const heed_attention_config config = HEED_ATTENTION_CONFIG_INIT;
  const char* const file = "capi/capi.cc";
  const auto c = [](auto call) {
    return [call](Things&) { return FromC(call()); };
  };
  const std::string null = "null pointer: ", address = ": expected an address";
  return {
      {file, "argument, expectation", null + "weights" + address,
       c([] { return heed_weights_verify(nullptr); })},
      {file, "Null(\"status\")", null + "status" + address,
       [](Things&) {
         char text[80];  // heed_format_status answers with a sentence of its own
         heed_format_status(nullptr, text, sizeof(text));
         CHECK(std::string(text) == "null pointer: status: expected an address");
         Status status;
         status.code = StatusCode::kNullPointer;
         status.argument = "status";
         status.expectation = "an address";
         return status;
       }},
      {file, "Null(\"weights\")", null + "weights" + address,
       c([] { return heed_weights_verify(nullptr); })},
      {file, "Null(\"weights\")", null + "weights" + address,
       c([] { return heed_weights_open(bytes, 64, nullptr); })},
      {file, "Null(\"weights\")", null + "weights" + address,
       c([] { return heed_weights_config(nullptr, nullptr); })},
      {file, "Null(\"weights\")", null + "weights" + address,
       c([] { return heed_weights_bytes(nullptr, nullptr, nullptr); })},
      {file, "Null(\"weights\")", null + "weights" + address,
       c([limits] { return heed_attention_create(&limits, nullptr, bytes, 64, &layer, nullptr); })},
      {file, "Null(\"layer\")", null + "layer" + address,
       c([limits] {
         return heed_attention_create(&limits, &weights, bytes, 64, nullptr, nullptr);
       })},
      {file, "Null(\"layer\")", null + "layer" + address,
       c([] { return heed_attention_forward(nullptr, nullptr); })},
      {file, "Null(\"layer\")", null + "layer" + address,
       c([] { return heed_attention_explain(nullptr, nullptr, nullptr); })},
      {file, "Null(\"layer\")", null + "layer" + address,
       c([] {
         return heed_attention_remember(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
       })},
      {file, "Null(\"key\")", null + "key" + address,
       c([] {
         return heed_attention_remember(&layer, nullptr, nullptr, nullptr, nullptr, nullptr);
       })},
      {file, "Null(\"cache\")", null + "cache" + address,
       c([config] {
         const heed_cache_limits cache_limits = HEED_CACHE_LIMITS_INIT;
         return heed_kv_cache_init(&config, &cache_limits, bytes, 64, nullptr);
       })},
      {file, "Null(\"cache\")", null + "cache" + address,
       c([config] { return heed_kv_cache_attach(&config, bytes, 64, nullptr); })},
      {"capi/convert.cc", "name, \"an address\"", null + "cache" + address,
       c([] { return heed_kv_cache_reset(nullptr); })},
      {"capi/convert.cc", "an attached cache", null + "cache: expected an attached cache",
       c([] {
         heed_kv_cache none = {};
         return heed_kv_cache_reset(&none);
       })},
      {file, "Null(\"config\")", null + "config" + address,
       c([] { return heed_resolve_config(nullptr, nullptr); })},
      {file, "Null(\"file\")", null + "file" + address,
       c([] { return heed_weights_bytes(&weights, nullptr, nullptr); })},
      {file, "Null(\"file_bytes\")", null + "file_bytes" + address,
       c([] {
         const void* data;
         return heed_weights_bytes(&weights, &data, nullptr);
       })},
      {file, "an opened file", null + "weights: expected an opened file",
       c([] {
         heed_attention_config read = HEED_ATTENTION_CONFIG_INIT;
         return heed_weights_config(&weights, &read);
       })},
      {file, "an opened file", null + "weights: expected an opened file",
       c([] {
         const void* data;
         size_t size;
         return heed_weights_bytes(&weights, &data, &size);
       })},
      {file, "Null(\"plan\")", null + "plan" + address,
       c([limits] {
         return heed_attention_create_shared(&limits, &weights, nullptr, 0, nullptr, 0, &layer,
                                             nullptr);
       })},
      {file, "Null(\"workspace\")", null + "workspace" + address,
       c([limits] {
         return heed_attention_create_shared(&limits, &weights, bytes, 0, nullptr, 0, &layer,
                                             nullptr);
       })},
      {"capi/sized.cc", "name.argument", null + "args" + address,
       c([] { return heed_attention_forward(&layer, nullptr); })},
      {"capi/sized.cc", "layouts.expectation",
       "bad value: limits.size: expected what HEED_LIMITS_INIT sets, " +
           to_string(sizeof(heed_limits)) + ", got 0",
       c([] {
         const heed_limits zero = {};
         return heed_attention_create(&zero, &weights, bytes, 64, &layer, nullptr);
       })},
      {"capi/sized.cc", "zeros in all fields",
       "unsupported: limits.size: expected zeros in all fields beyond this library's size of " +
           to_string(sizeof(heed_limits)) + ", got " + to_string(sizeof(heed_limits) + 4),
       c([limits] {
         struct {
           heed_limits known;
           uint32_t unknown;
         } newer = {limits, 1};
         newer.known.size = sizeof(newer);
         return heed_attention_create(&newer.known, &weights, bytes, 64, &layer, nullptr);
       })},
      {"capi/convert.cc", "HEED_WEIGHTS_",
       "bad config: config.weights: expected a HEED_WEIGHTS_ constant, at most 3, got 4294967295",
       c([config] {
         heed_attention_config bad = config;
         bad.weights = UINT32_MAX;
         return heed_check_config(&bad);
       })},
      {"capi/convert.cc", "HEED_CORE_",
       "bad config: config.core: expected a HEED_CORE_ constant, at most 1, got 2",
       c([config] {
         heed_attention_config bad = config;
         bad.core = 2;
         return heed_check_config(&bad);
       })},
  };
}

// Makes a cache in the memory of things, and lets an edit spoil the arguments.
template <typename Edit>
Status InitCache(Things& t, const Edit& edit) {
  AttentionConfig config = t.layer.config;
  CacheLimits limits;
  limits.max_batch = 2;
  limits.capacity = 70;
  MutableBytes block = t.memory.bytes();
  edit(config, limits, block);
  KvCache cache;
  return KvCache::Init(config, limits, block, &cache);
}

// Makes a cache of two entries, or a ring of them, and calls it.
template <typename Call>
Status OnCache(Things& t, bool is_ring, const Call& call) {
  CacheLimits limits;
  limits.max_batch = 2;
  if (is_ring) {
    limits.window = limits.max_new_rows = 10;
  } else {
    limits.capacity = 70;
  }
  KvCache cache;
  REQUIRE(KvCache::Init(t.layer.config, limits, t.memory.bytes(), &cache).ok());
  return call(cache);
}

// Attaches a cache of two entries after an edit of its header, whose CRC is made right again.
template <typename Edit>
Status AttachCache(Things& t, const Edit& edit, bool is_ring = false, bool repair = true) {
  return OnCache(t, is_ring, [&](KvCache&) {
    CacheHeader header;
    memcpy(&header, t.memory.data(), sizeof(header));
    MutableBytes block = t.memory.bytes();
    edit(header, block);
    header.crc = 0;
    header.crc = repair ? Crc32c(&header, sizeof(header)) : 0x0badcafe;
    memcpy(t.memory.data(), &header, sizeof(header));
    KvCache attached;
    return KvCache::Attach(t.layer.config, block, &attached);
  });
}

std::vector<Case> CasesOfCache() {
  const char* const file = "core/cache.cc";
  const char* const entries = "core/cache_entries.cc";
  using Config = AttentionConfig;
  return {
      {file, "a library that is built with caches", "", nullptr},
      {entries, "kBusy", "busy: cache: expected no other call of this cache at the same time",
       [](Things& t) {
         return OnCache(t, false, [](KvCache& cache) {
           *CacheAccess::Busy(cache) = 1;
           return cache.Reset();
         });
       }},
      {file, "int8, as the core is int8",
       "unsupported: limits.type: expected int8, as the core is int8",
       [](Things& t) {
         return InitCache(t, [](Config& c, CacheLimits&, MutableBytes&) {
           c.core = CoreType::kInt8;
         });
       }},
      {file, "f32, bf16 or int8",
       "unsupported: limits.value_type: expected f32, bf16 or int8, got 9",
       [](Things& t) {
         return InitCache(t, [](Config&, CacheLimits& l, MutableBytes&) {
           l.value_type = static_cast<CacheType>(9);
         });
       }},
      {file, "at most limits.capacity",
       "bad value: limits.max_new_rows: expected at most limits.capacity = 70, got 71",
       [](Things& t) {
         return InitCache(t, [](Config&, CacheLimits& l, MutableBytes&) { l.max_new_rows = 71; });
       }},
      {file, "without limits.window",
       "bad value: limits.first_keys: expected without limits.window 0, got 4",
       [](Things& t) {
         return InitCache(t, [](Config&, CacheLimits& l, MutableBytes&) { l.first_keys = 4; });
       }},
      {file, "\"with limits.window\"",
       "bad value: limits.capacity: expected with limits.window 0, got 70",
       [](Things& t) {
         return InitCache(t, [](Config&, CacheLimits& l, MutableBytes&) { l.window = 5; });
       }},
      {file, "\"limits.first_keys\", \"at most\"",
       "bad value: limits.first_keys: expected at most 1048576, got 1048577",
       [](Things& t) {
         return InitCache(t, [](Config&, CacheLimits& l, MutableBytes&) {
           l.capacity = 0;
           l.window = l.max_new_rows = 5;
           l.first_keys = kMaxDimension + 1;
         });
       }},
      {file, "a cache that fits the address space",
       "bad value: limits: expected a cache that fits the address space",
       [](Things& t) {
         return InitCache(t, [](Config& c, CacheLimits& l, MutableBytes&) {
           c = Config::GroupedQuery(kMaxDimension, kMaxDimension, kMaxDimension);
           c.weights = WeightType::kF32;
           c.kdim = c.vdim = c.embed_dim = 1;
           c.head_dim = 1;
           l.max_batch = l.capacity = kMaxDimension;
         });
       }},
      {file, "kNullPointer, \"cache\", \"an address\"",
       "null pointer: cache: expected an address",
       [](Things& t) { return KvCache::Init(t.layer.config, {1, 5}, t.memory.bytes(), nullptr); }},
      {file, "kNullPointer, \"cache\", \"an address\"",
       "null pointer: cache: expected an address",
       [](Things& t) { return KvCache::Attach(t.layer.config, t.memory.bytes(), nullptr); }},
      {file, "an attached cache", "null pointer: cache: expected an attached cache",
       [](Things&) { return KvCache().Reset(); }},
      {file, "a block whose header",
       "bad header: cache: expected a block whose header stays as it was",
       [](Things& t) {
         return OnCache(t, false, [&t](KvCache& cache) {
           memset(t.memory.data(), 0, 64);
           return cache.Reset();
         });
       }},
      {file, "the bytes of a header",
       "block too small: block: expected the bytes of a header, at least 128, got 127",
       [](Things& t) {
         return AttachCache(t, [](CacheHeader&, MutableBytes& block) { block.size = 127; });
       }},
      {file, "the first bytes",
       "not a heed file: block: expected the first bytes 'HEKV', got 'HEED'",
       [](Things& t) {
         return AttachCache(t, [](CacheHeader& h, MutableBytes&) { memcpy(&h.magic, "HEED", 4); });
       }},
      {file, "\"version\"", "bad version: block: expected version 1, got 2",
       [](Things& t) {
         return AttachCache(t, [](CacheHeader& h, MutableBytes&) { h.version = 2; });
       }},
      {file, "a header with CRC-32C", "",
       [](Things& t) {
         return AttachCache(t, [](CacheHeader&, MutableBytes&) {}, false, false);
       }},
      {file, "the cache to hold",
       "config mismatch: config.head_dim: expected the cache to hold 4, got 5",
       [](Things& t) {
         return AttachCache(t, [](CacheHeader& h, MutableBytes&) { h.head_dim = 5; });
       }},
      {file, "limits that Init takes", "bad header: block: expected limits that Init takes",
       [](Things& t) {
         return AttachCache(t, [](CacheHeader& h, MutableBytes&) { h.capacity = 0; });
       }},
      {file, "follows from its limits",
       "bad header: block: expected a header that follows from its limits",
       [](Things& t) {
         return AttachCache(t, [](CacheHeader& h, MutableBytes&) { h.block_bytes -= 64; });
       }},
      {"support/check_memory.cc", "kBlockTooSmall",
       "block too small: block: expected the size that its header tells, " +
           to_string(KvCacheBytes(Shape(8, 2), {2, 70})) + ", got 1000",
       [](Things& t) {
         return AttachCache(t, [](CacheHeader&, MutableBytes& block) { block.size = 1000; });
       }},
      {file, "lengths of at most",
       "bad payload: block: expected lengths of at most 70, got 71",
       [](Things& t) {
         return AttachCache(t, [&t](CacheHeader&, MutableBytes&) {
           t.memory.data()[sizes::kAlignment * 2] = std::byte{71};
         });
       }},
      {file, "an oldest block",
       "bad payload: block: expected an oldest block of at most 0, got 1",
       [](Things& t) {
         return AttachCache(t, [&t](CacheHeader&, MutableBytes&) {
           t.memory.data()[sizes::kAlignment * 3] = std::byte{1};
         }, true);
       }},
      {entries, "below limits.max_batch",
       "bad value: entry: expected below limits.max_batch = 2, got 2",
       [](Things& t) {
         return OnCache(t, false, [](KvCache& cache) { return cache.Truncate(2, 0); });
       }},
      {entries, "at most the entry's length",
       "bad value: n: expected at most the entry's length = 0, got 1",
       [](Things& t) {
         return OnCache(t, false, [](KvCache& cache) { return cache.Truncate(0, 1); });
       }},
      {entries, "kOverwritten",
       "overwritten: n: expected a row whose window begins at or after 192, got 141",
       [](Things& t) {
         return OnCache(t, true, [](KvCache& cache) {
           CacheAccess::NoteOverwriting(cache, 1, 300);
           CacheAccess::Lengths(cache)[1] = 300;
           return cache.Truncate(1, 150);
         });
       }},
      {entries, "\"count\"",
       "bad value: count: expected at most limits.max_batch = 2, got 3",
       [](Things& t) {
         return OnCache(t, false, [](KvCache& cache) {
           const uint32_t map[3] = {};
           return cache.Reorder(map, 3);
         });
       }},
  };
}

std::vector<Case> AllCases() {
  std::vector<Case> all;
  for (auto cases : {CasesOfWeights(), CasesOfMemory(), CasesOfCreate(), CasesOfForward(),
                     CasesOfCachedCalls(), CasesOfSdpa(), CasesOfCache(), CasesOfC()}) {
    all.insert(all.end(), cases.begin(), cases.end());
  }
  return all;
}

// Texts that are not static do not outlive this.
[[gnu::noinline]] void OverwriteStack() {
  volatile char bytes[8192];
  for (volatile char& byte : bytes) byte = '?';
}

TEST_CASE("every refusal has the sentence that the table tells") {
  for (const Case& c : AllCases()) {
    if (c.call == nullptr || c.sentence.empty()) continue;
    CAPTURE(std::string(c.file));
    CAPTURE(std::string(c.site));
    Things things;
    char text[kMaxSentence];
    const Status status = c.call(things);
    OverwriteStack();
    const size_t length = FormatStatus(status, text, sizeof(text));
    CHECK(text == c.sentence);
    CHECK(length < kMaxSentence);
    CHECK(c.sentence.find(": expected ") != std::string::npos);
  }
}

TEST_CASE("checksums are told in hexadecimal, the one of the file and the one that was computed") {
  for (const Case& c : AllCases()) {
    if (c.call == nullptr || !c.sentence.empty()) continue;
    CAPTURE(std::string(c.site));
    Things things;
    const Status status = c.call(things);
    CHECK(status.code == StatusCode::kBadChecksum);
    char wanted[160];
    snprintf(wanted, sizeof(wanted), " with CRC-32C 0x%08x, got 0x%08x",
             static_cast<unsigned>(status.expected), static_cast<unsigned>(status.actual));
    bool is_told = false;
    for (const std::string part :
         {"a header", "a payload", "a section table", "tagged fields", "a section"}) {
      is_told |= Text(status) ==
                 "bad checksum: " + std::string(status.argument) + ": expected " + part + wanted;
    }
    CHECK_MESSAGE(is_told, Text(status));
    if (strstr(status.expectation, "header")) CHECK(status.expected == 0x0badcafe);
  }
}

// The Fail and Null statements of lib, by file, each with its white space made single.
struct Site {
  std::string file, statement;
};

std::string ReadAll(const std::string& path) {
  std::string text;
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  REQUIRE(file != nullptr);
  char part[4096];
  for (size_t got; (got = std::fread(part, 1, sizeof(part), file)) != 0;) text.append(part, got);
  std::fclose(file);
  return text;
}

void AddSites(const std::string& file, const std::string& text, std::vector<Site>* sites) {
  for (const std::string name : {"Fail(", "Null("}) {
    for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
      if (at > 0 && (isalnum(static_cast<unsigned char>(text[at - 1])) != 0)) continue;
      size_t end = at + name.size();
      for (int depth = 1; depth > 0 && end < text.size(); ++end) {
        depth += text[end] == '(' ? 1 : text[end] == ')' ? -1 : 0;
      }
      std::string statement;
      for (const char c : text.substr(at, end - at)) {
        const bool is_space = c == ' ' || c == '\n';
        if (!is_space || statement.back() != ' ') statement += is_space ? ' ' : c;
      }
      const bool is_definition = statement.rfind("Fail(StatusCode code,", 0) == 0 ||
                                 statement.rfind("Null(const char*", 0) == 0;
      if (!is_definition) sites->push_back({file, statement});
    }
  }
}

std::vector<Site> ReadSites() {
  std::vector<Site> sites;
  const std::string lib = HEED_SOURCE_DIR "/lib/";
  for (const std::string room :
       {"support", "rounding", "reference", "weights", "kernels", "core", "capi"}) {
    DIR* const folder = opendir((lib + room).c_str());
    if (folder == nullptr) return {};
    while (const dirent* entry = readdir(folder)) {
      const std::string file = room + "/" + entry->d_name;
      if (entry->d_name[0] != '.') AddSites(file, ReadAll(lib + file), &sites);
    }
    closedir(folder);
  }
  return sites;
}

TEST_CASE("the table has a case for every Fail in the library, and for nothing else") {
  const std::vector<Site> sites = ReadSites();
  if (sites.empty()) {
    MESSAGE("skipped: the sources are not here");
    return;
  }
  std::map<std::string, size_t> missing;  // how many sites of a statement have no case yet
  for (const Site& site : sites) ++missing[site.file + ": " + site.statement];
  CHECK(sites.size() > 80);
  std::map<std::string, size_t> left = missing;
  for (const Case& c : AllCases()) {
    size_t found = 0;
    for (auto& [key, count] : left) {
      const std::string file = std::string(c.file) + ": ";
      if (key.rfind(file, 0) != 0 || key.find(c.site, file.size()) == std::string::npos) continue;
      ++found;
      if (count > 0) --count;
    }
    CHECK_MESSAGE(found == 1, c.file, " has ", found, " statements with ", c.site);
  }
  for (const auto& statement : left) {  // Clang's lambdas take no part of a pair
    CHECK_MESSAGE(statement.second == 0, "a case for this statement is missing: ",
                  statement.first);
  }
}

}  // namespace
}  // namespace heed::test
