// tests/cli/pack_test.cc: `heed pack` reads every way in which layers are saved, and writes what
// the library itself packs from the same numbers.
#include <unistd.h>

#include <cmath>

#include <doctest/doctest.h>

#include "tests/cli/files.h"
#include "tests/cli/program.h"
#include "tests/oracle/oracle.h"
#include "tests/support/compare.h"
#include "tests/support/npy.h"

namespace heed::test {
namespace {

bool IsTorch(Naming naming) { return naming == Naming::kTorch || naming == Naming::kTorchApart; }

// The file that `heed pack` makes of the tensors.
std::string PackedBy(const std::vector<SavedTensor>& tensors, const Words& options) {
  const Folder folder;
  const std::string in = folder.Write("in.safetensors", Safetensors(tensors));
  HeedOk(Words{"pack", in, folder.Path("out.heed")} + options);
  CHECK(folder.Contents().size() == 2);
  return folder.Read("out.heed");
}

// The file that the library makes of the layer.
std::string PackedByLibrary(const LayerData& layer) {
  const AlignedBytes file = Pack(layer);
  return std::string(reinterpret_cast<const char*>(file.data()), file.size());
}

// CHECK without printing two binary files.
void CheckSameFile(const std::string& got, const std::string& wanted) {
  CHECK(got.size() == wanted.size());
  CHECK((got == wanted));
}

// `heed run` on a packed file is within 1e-5 of |y|max of the oracle.
void CheckRun(const std::string& packed, const LayerData& layer, Random& random) {
  const AttentionConfig c = Resolved(layer.config);
  constexpr size_t kBatch = 2, kLen = 5;
  const std::vector<float> x = NormalVector(random, kBatch * kLen * c.embed_dim);
  const std::vector<float> k = NormalVector(random, kBatch * 7 * c.kdim);
  const std::vector<float> v = NormalVector(random, kBatch * 7 * c.vdim);
  const Folder folder;
  folder.Write("layer.heed", packed);
  HeedOk({"run", folder.Path("layer.heed"),
          "--query", folder.Write("x.npy", NpyFloats({kBatch, kLen, c.embed_dim}, x)),
          "--key", folder.Write("k.npy", NpyFloats({kBatch, 7, c.kdim}, k)),
          "--value", folder.Write("v.npy", NpyFloats({kBatch, 7, c.vdim}, v)),
          "--output", folder.Path("y.npy")});
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), kBatch, kLen, c.embed_dim);
  args.key = ConstTensorView(k.data(), kBatch, 7, c.kdim);
  args.value = ConstTensorView(v.data(), kBatch, 7, c.vdim);
  const oracle::Result exact = oracle::Layer(layer.config, layer.tensors(), args);
  const Array y = ReadNpy(folder.Path("y.npy"));
  CHECK((y.shape == Dims{kBatch, kLen, c.embed_dim}));
  CHECK(RelativeError(y.Floats(), exact.output) <= 1e-5);
}

TEST_CASE("every naming, with and without prefix, packs to what the library packs, and runs") {
  Random random(1);
  const LayerData layer = ExactLayer(Shape(12, 3), random);
  const std::string wanted = PackedByLibrary(layer);
  for (const Naming naming : kNamings) {
    CAPTURE(static_cast<int>(naming));
    for (const std::string prefix : {"", "encoder.layers.0.attn."}) {
      CAPTURE(prefix);
      const auto tensors = Saved(layer, naming, prefix);
      CheckSameFile(PackedBy(tensors, {"--heads", "3"}), wanted);
      CheckSameFile(PackedBy(tensors, {"--heads", "3", "--prefix", prefix}), wanted);
    }
  }
  CheckRun(wanted, layer, random);
}

TEST_CASE("a prefix is taken with and without its last dot, among the layers of a network") {
  Random random(2);
  const LayerData first = ExactLayer(Shape(8, 2), random);
  const LayerData second = ExactLayer(Shape(6, 2), random);
  auto tensors = Saved(first, Naming::kDecoder, "layers.1.self_attn.");
  for (const auto& more : {Saved(second, Naming::kDecoder, "layers.10.self_attn."),
                           Saved(second, Naming::kSeed, "decoder."), Saved(first, Naming::kBert)}) {
    tensors.insert(tensors.end(), more.begin(), more.end());
  }
  tensors.push_back({"layers.1.mlp.weight", "I64", {2}, std::string(16, '\0')});
  const std::string wanted_first = PackedByLibrary(first), wanted_second = PackedByLibrary(second);
  const auto pack = [&](const std::string& prefix) {
    return PackedBy(tensors, {"--heads", "2", "--prefix", prefix});
  };
  for (const std::string dot : {"", "."}) {
    CheckSameFile(pack("layers.1.self_attn" + dot), wanted_first);
    CheckSameFile(pack("layers.10.self_attn" + dot), wanted_second);
    CheckSameFile(pack("decoder" + dot), wanted_second);
  }
  CheckSameFile(pack(""), wanted_first);
}

TEST_CASE("F16 and BF16 tensors give the same file as F32, subnormals included") {
  Random random(3);
  AttentionConfig config = Shape(10, 2);
  config.add_bias_kv = true;
  const LayerData layer = ExactLayer(config, random);
  const std::string wanted = PackedByLibrary(layer);
  for (const std::string dtype : {"F32", "F16", "BF16"}) {
    CAPTURE(dtype);
    CheckSameFile(PackedBy(Saved(layer, Naming::kTorch, "", dtype), {"--heads", "2"}), wanted);
  }
  auto mixed = Saved(layer, Naming::kTorchApart, "", "F16");
  const auto bf16 = Saved(layer, Naming::kTorchApart, "", "BF16");
  for (size_t i = 0; i < mixed.size(); i += 2) mixed[i] = bf16[i];
  CheckSameFile(PackedBy(mixed, {"--heads", "2"}), wanted);
}

TEST_CASE("every F16 number is read as the number that it is") {
  // 64 * 1024 patterns as one weight; the NaNs and infinities among them as 1.
  LayerData layer;
  layer.config = Shape(256, 1, false);
  std::vector<uint16_t> halves(256 * 256);
  layer.q_weight.resize(halves.size());
  for (size_t i = 0; i < halves.size(); ++i) {
    const auto exponent = static_cast<int>(i >> 10 & 31);
    const auto mantissa = static_cast<int>(i & 1023);
    const bool finite = exponent != 31;
    halves[i] = static_cast<uint16_t>(finite ? i : 0x3c00);
    const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24)
                                           : std::ldexp(1024 + mantissa, exponent - 25);
    layer.q_weight[i] = static_cast<float>(!finite ? 1.0 : i < 0x8000 ? magnitude : -magnitude);
  }
  layer.k_weight = layer.v_weight = layer.out_weight = layer.q_weight;
  auto tensors = Saved(layer, Naming::kSeed);
  tensors[0].dtype = "F16";
  tensors[0].data = BytesOf(halves);
  CheckSameFile(PackedBy(tensors, {"--heads", "1"}), PackedByLibrary(layer));
}

TEST_CASE("any bias may be missing, and only that one is") {
  Random random(4);
  for (const Naming naming : kNamings) {
    CAPTURE(static_cast<int>(naming));
    for (int missing = 0; missing < 6; ++missing) {
      CAPTURE(missing);  // 4: all, 5: q, k and v, which is all that nn.MultiheadAttention can miss
      if (IsTorch(naming) && missing < 3) continue;
      AttentionConfig config = Shape(8, 2);
      config.q_bias = missing != 0 && missing < 4;
      config.k_bias = missing != 1 && missing < 4;
      config.v_bias = missing != 2 && missing < 4;
      config.out_bias = missing != 3 && missing != 4;
      const LayerData layer = ExactLayer(config, random);
      CheckSameFile(PackedBy(Saved(layer, naming), {"--heads", "2"}), PackedByLibrary(layer));
    }
  }
}

TEST_CASE("grouped heads and heads wider than embed_dim / heads follow from the shapes") {
  Random random(5);
  AttentionConfig config = Shape(12, 6);
  config.num_kv_heads = 2;
  config.head_dim = 5;
  config.kdim = 7;
  config.vdim = 9;
  const LayerData layer = ExactLayer(config, random);
  const Words options = {"--heads", "6", "--kv-heads", "2"};
  for (const Naming naming : {Naming::kSeed, Naming::kDecoder, Naming::kEncoder, Naming::kBert,
                              Naming::kBertOutProj}) {
    CAPTURE(static_cast<int>(naming));
    CheckSameFile(PackedBy(Saved(layer, naming, "a.b."), options), PackedByLibrary(layer));
  }
  CheckRun(PackedByLibrary(layer), layer, random);
}

TEST_CASE("nn.MultiheadAttention with kdim, vdim, bias_k, bias_v and a zero key packs and runs") {
  Random random(6);
  AttentionConfig config = Shape(12, 3);
  config.kdim = 5;
  config.vdim = 10;
  config.add_bias_kv = config.add_zero_attn = true;
  const LayerData layer = ExactLayer(config, random);
  const std::string packed =
      PackedBy(Saved(layer, Naming::kTorchApart), {"--heads", "3", "--add-zero-attn"});
  CheckSameFile(packed, PackedByLibrary(layer));
  CheckRun(packed, layer, random);
}

TEST_CASE("scale, softcap and window are trained: pack takes them and run uses them") {
  Random random(7);
  AttentionConfig config = Shape(8, 2);
  config.scale = 0.75f;
  config.softcap = 2.5f;
  config.window = 3;
  const LayerData layer = ExactLayer(config, random);
  const std::string packed =
      PackedBy(Saved(layer, Naming::kSeed), {"--heads", "2", "--scale", "0.75", "--softcap", "2.5",
                                             "--window=3", "--weights", "f32", "--core", "f32"});
  CheckSameFile(packed, PackedByLibrary(layer));
  CheckRun(packed, layer, random);
  config.scale = -0.5f;
  config.softcap = 0.0f;
  config.window = 0x7fffffff;
  const LayerData other = ExactLayer(config, random);
  CheckSameFile(PackedBy(Saved(other, Naming::kSeed),
                         {"--heads", "2", "--scale=-0.5", "--window", "2147483647"}),
                PackedByLibrary(other));
  config.scale = 0.0f;  // the default
  const LayerData plain = ExactLayer(config, random);
  for (const std::string zero : {"0", "-0", "0e5"}) {
    CheckSameFile(PackedBy(Saved(plain, Naming::kSeed),
                           {"--heads", "2", "--scale=" + zero, "--window", "2147483647"}),
                  PackedByLibrary(plain));
  }
}

TEST_CASE("--core int8 is kept in the file, told by info and --explain, and what runs") {
  Random random(9);
  LayerData layer = ExactLayer(Shape(8, 2), random);
  layer.config.core = CoreType::kInt8;
  const std::string packed =
      PackedBy(Saved(layer, Naming::kSeed), {"--heads", "2", "--core", "int8"});
  CheckSameFile(packed, PackedByLibrary(layer));
  const Folder folder;
  const std::string path = folder.Write("layer.heed", packed);
  CHECK(HeedOk({"info", path}).find("int8") != std::string::npos);
  const std::vector<float> x = NormalVector(random, 70 * 8);
  const std::string printed =
      HeedOk({"run", path, "--query", folder.Write("x.npy", NpyFloats({70, 8}, x)), "--explain",
              "--output", folder.Path("y.npy")});
  CHECK(printed.find("core            int8\n") != std::string::npos);
  ForwardArgs args;
  args.query = ConstTensorView(x.data(), 1, 70, 8);
  const Array y = ReadNpy(folder.Path("y.npy"));
  CHECK(SameBits(y.Floats(), RunLayer(layer, args).output));
}

TEST_CASE("an output that was there before is replaced, whole, and also through a link") {
  Random random(8);
  const LayerData layer = ExactLayer(Shape(8, 2), random);
  const Folder folder;
  const std::string in =
      folder.Write("in.safetensors", Safetensors(Saved(layer, Naming::kSeed)));
  folder.Write("out.heed", std::string(100000, 'x'));
  HeedOk({"pack", in, folder.Path("out.heed"), "--heads", "2"});
  CheckSameFile(folder.Read("out.heed"), PackedByLibrary(layer));
  folder.Write("out.heed", "x");
  REQUIRE(symlink("out.heed", folder.Path("link.heed").c_str()) == 0);
  HeedOk({"pack", in, folder.Path("link.heed"), "--heads", "2"});
  CheckSameFile(folder.Read("out.heed"), PackedByLibrary(layer));
  CHECK(folder.Contents().size() == 3);
  REQUIRE(symlink("new.heed", folder.Path("dangling.heed").c_str()) == 0);
  HeedOk({"pack", in, folder.Path("dangling.heed"), "--heads", "2"});
  CheckSameFile(folder.Read("new.heed"), PackedByLibrary(layer));
  CHECK(folder.Contents().size() == 5);
}

}  // namespace
}  // namespace heed::test
