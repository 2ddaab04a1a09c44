// tests/cli/hostile_safetensors_test.cc: `heed pack` survives every broken safetensors file and
// says what is wrong with it.
#include <doctest/doctest.h>

#include "tests/cli/files.h"
#include "tests/cli/program.h"

namespace heed::test {
namespace {

// A whole file: one layer of embed_dim 2, its four weights of 16 bytes in a row.
std::string GoodHeader() {
  return R"({"q_proj.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
         R"("k_proj.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]},)"
         R"("v_proj.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[32,48]},)"
         R"("o_proj.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[48,64]}})";
}
const std::string& Data() {
  static const std::string kData = BytesOf(std::vector<float>(16, 0.5f));
  return kData;
}

// The good header with one part replaced.
std::string With(const std::string& part, const std::string& replacement) {
  std::string header = GoodHeader();
  const size_t at = header.find(part);
  REQUIRE(at != std::string::npos);
  return header.replace(at, part.size(), replacement);
}

class Packer {
 public:
  Words WordsFor(const std::string& file) const {
    return {"pack", folder_.Write("in.safetensors", file), folder_.Path("out"), "--heads", "1"};
  }
  void Refused(const std::string& file, const Words& words) const {
    CheckRefused(folder_, WordsFor(file), 1, words + Words{folder_.Path("in.safetensors")},
                 "out");
  }
  void RefusedHeader(const std::string& header, const Words& words) const {
    Refused(SafetensorsWithHeader(header, Data()), words);
  }
  const Folder& folder() const { return folder_; }

 private:
  Folder folder_;
};

TEST_CASE("the file that the tests below spoil packs, also with a padded header") {
  const Packer packer;
  HeedOk(packer.WordsFor(SafetensorsWithHeader(GoodHeader(), Data())));
  HeedOk(packer.WordsFor(SafetensorsWithHeader(GoodHeader() + "   ", Data())));
  HeedOk(packer.WordsFor(SafetensorsWithHeader(
      With("{\"q_proj", R"({"__metadata__":{"a":"b"},"q_proj)"), Data())));
  // Tensors without elements take no room, wherever they say they are.
  HeedOk(packer.WordsFor(SafetensorsWithHeader(
      With("{\"q_proj", R"({"empty":{"dtype":"I8","shape":[0,7],"data_offsets":[16,16]},"q_proj)"),
      Data())));
}

TEST_CASE("a file cut at any byte is refused and leaves no output") {
  const Packer packer;
  const std::string good = SafetensorsWithHeader(GoodHeader(), Data());
  for (size_t size = 0; size < good.size(); size += Stride(1, 23)) {
    CAPTURE(size);
    CHECK(!Survives(packer.WordsFor(good.substr(0, size))));
    REQUIRE(packer.folder().Contents().size() == 1);
  }
}

TEST_CASE("a header length that is not the header's is refused, however large") {
  const Packer packer;
  const std::string body = GoodHeader() + Data();
  const auto refused = [&](uint64_t length, const Words& words) {
    packer.Refused(Number(length, 8) + body, words);
  };
  refused(0, {"header"});
  refused(1, {"header"});
  refused(GoodHeader().size() - 1, {"header"});
  refused(GoodHeader().size() + 1, {"header"});
  const std::string most = std::to_string(body.size());
  refused(body.size() + 1, {"header length", "expected", most, std::to_string(body.size() + 1)});
  refused(uint64_t{1} << 32, {"header length", most, "4294967296"});
  refused(uint64_t{1} << 60, {"header length", most, "1152921504606846976"});
  refused(uint64_t{1} << 63, {"header length", most, "9223372036854775808"});
  refused(~uint64_t{0}, {"header length", most, "18446744073709551615"});
  refused(~uint64_t{7}, {"header length", most, "18446744073709551608"});
}

TEST_CASE("a header that is not a JSON object of tensors is refused") {
  const Packer packer;
  const std::string nul(1, '\0');
  for (const std::string& header :
       {std::string(), std::string("{"), std::string("null"), std::string("42"),
        std::string("[]"), std::string("\"q_proj.weight\""), GoodHeader() + "x",
        GoodHeader() + "{}", GoodHeader() + nul, nul + GoodHeader(), "[" + GoodHeader() + "]",
        std::string("{\"a\xff\":1}"), std::string("{'a':1}"), std::string("{\"a\":NaN}"),
        std::string("{\"a\":1e999}"), std::string("{\"\\ud800\":1}"), std::string(300, '\x80')}) {
    CAPTURE(header);
    packer.RefusedHeader(header, {"header"});
  }
}

TEST_CASE("nesting without end is refused without recursion") {
  const Packer packer;
  const size_t depth = 1000000;
  std::string objects;
  for (size_t i = 0; i < depth; ++i) objects += R"({"a":)";
  for (const std::string& nested :
       {std::string(depth, '['), std::string(depth, '[') + std::string(depth, ']'), objects}) {
    packer.Refused(SafetensorsWithHeader(nested, ""), {"header"});
    packer.Refused(SafetensorsWithHeader(R"({"__metadata__":)" + nested + "}", ""), {"header"});
    packer.Refused(SafetensorsWithHeader(R"({"a":{"shape":)" + nested + "}}", ""), {"header"});
  }
}

TEST_CASE("a tensor that is there twice is refused by name") {
  const Packer packer;
  packer.RefusedHeader(With("k_proj", "q_proj"), {"q_proj.weight", "twice"});
  packer.RefusedHeader(With("k_proj", "\\u0071_proj"), {"q_proj.weight", "twice"});
}

TEST_CASE("fields that are there twice, unknown ones and metadata that are no texts are refused") {
  const Packer packer;
  for (const std::string field :
       {R"("dtype":"F32")", R"("shape":[2,2])", R"("data_offsets":[0,16])"}) {
    packer.RefusedHeader(With(field, field + "," + field), {"tensor q_proj.weight", "twice"});
  }
  packer.RefusedHeader(With(R"("dtype":"F32")", R"("dtype":"F32","strides":[1,2])"),
                       {"tensor q_proj.weight", "strides"});
  const auto metadata = [&](const std::string& value, const Words& words) {
    packer.RefusedHeader(With("{\"q_proj", R"({"__metadata__":)" + value + ",\"q_proj"),
                         words + Words{"__metadata__"});
  };
  for (const std::string value : {"null", "[]", "\"a\"", "7", R"({"a":1})", R"({"a":["b"]})",
                                  R"({"a":{}})", R"({"a":null})"}) {
    metadata(value, {"texts"});
  }
  metadata(R"({},"__metadata__":{})", {"twice"});
  metadata(R"({"a":"b"},"__metadata__":{"a":"b"})", {"twice"});
}

TEST_CASE("a tensor has up to 64 dimensions, and more are refused by name") {
  const Packer packer;
  const auto with_rank = [](size_t rank) {
    std::string shape = "0";
    for (size_t i = 1; i < rank; ++i) shape += ",1";
    return With("{\"q_proj", R"({"x":{"dtype":"I8","shape":[)" + shape +
                                 R"(],"data_offsets":[0,0]},"q_proj)");
  };
  HeedOk(packer.WordsFor(SafetensorsWithHeader(with_rank(64), Data())));
  packer.RefusedHeader(with_rank(65), {"tensor x", "64 dimensions"});
  packer.RefusedHeader(with_rank(100000), {"tensor x", "64 dimensions"});
}

TEST_CASE("a header begins with its brace") {
  const Packer packer;
  for (const std::string before : {" ", "\n", "\xef\xbb\xbf", "/**/"}) {
    packer.RefusedHeader(before + GoodHeader(), {"header"});
  }
}

TEST_CASE("an entry without dtype, shape and two offsets, each of its kind, is refused by name") {
  const Packer packer;
  const std::string dtype = R"("dtype":"F32",)", shape = R"("shape":[2,2],)";
  const std::string offsets = R"("data_offsets":[0,16])";
  const std::string whole = "{" + dtype + shape + offsets + "}";
  for (const std::string& entry :
       {std::string("null"), std::string("7"), std::string("[]"), std::string("{}"),
        "{" + shape + offsets + "}", "{" + dtype + offsets + "}",
        "{" + dtype + R"("shape":[2,2]})", R"({"dtype":7,)" + shape + offsets + "}",
        R"({"dtype":null,)" + shape + offsets + "}", "{" + dtype + R"("shape":4,)" + offsets + "}",
        "{" + dtype + R"("shape":{"0":2},)" + offsets + "}",
        "{" + dtype + shape + R"("data_offsets":[]})",
        "{" + dtype + shape + R"("data_offsets":[0]})",
        "{" + dtype + shape + R"("data_offsets":[0,16,32]})",
        "{" + dtype + shape + R"("data_offsets":16})"}) {
    CAPTURE(entry);
    packer.RefusedHeader(With(whole, entry), {"tensor q_proj.weight", "expected"});
  }
  for (const std::string name : {"f32", "", "FLOAT", "F32 ", "F4"}) {
    packer.RefusedHeader(With("F32", name), {"tensor q_proj.weight", "dtype", "got " + name});
  }
}

TEST_CASE("dimensions that are no counts, or whose product overflows, are refused by name") {
  const Packer packer;
  for (const std::string bad : {"-1", "-0.0", "2.0", "\"2\"", "null", "true", "[2]", "{}", "1e1",
                                "18446744073709551616", "-9223372036854775809"}) {
    CAPTURE(bad);
    packer.RefusedHeader(With("[2,2]", "[" + bad + ",2]"), {"tensor q_proj.weight", "shape"});
  }
  for (const std::string bad :
       {"4294967296,4294967296", "9223372036854775808,2", "18446744073709551615,2",
        "4611686018427387904,1", "4611686018427387905,4",
        "0,9223372036854775808,9223372036854775808", "65536,65536,65536,65536",
        "18446744073709551615,18446744073709551615"}) {
    CAPTURE(bad);
    packer.RefusedHeader(With("[2,2]", "[" + std::string(bad) + "]"), {"tensor q_proj.weight"});
  }
  packer.RefusedHeader(With("[2,2]", "[-0,2]"), {"q_proj.weight", "non-negative", "got -0"});
  packer.RefusedHeader(With("[2,2]", "[1e400,2]"), {"got a number out of range"});
  packer.RefusedHeader(With("[2,2]", "[2,3]"),
                       {"q_proj.weight", "[2, 3]", "expected 24", "got 16"});
  packer.RefusedHeader(With("[2,2]", "[]"), {"q_proj.weight", "expected 4", "got 16"});
  packer.RefusedHeader(With("[2,2]", "[2,0]"), {"q_proj.weight", "expected 0", "got 16"});
  packer.RefusedHeader(With("F32", "F64"), {"q_proj.weight", "expected 32", "got 16"});
}

TEST_CASE("offsets that overlap, leave holes, or leave the file are refused by name") {
  const Packer packer;
  const auto refused = [&](const std::string& offsets, const Words& words) {
    CAPTURE(offsets);
    packer.RefusedHeader(With("[16,32]", "[" + offsets + "]"),
                         words + Words{"k_proj.weight", "data_offsets"});
  };
  for (const std::string bad : {"-16,0", "16.0,32", "\"16\",32", "16,null", "1e1,26",
                                "18446744073709551616,18446744073709551632"}) {
    refused(bad, {"expected"});
  }
  refused("32,16", {"64", "[32, 16]"});
  refused("56,72", {"64", "[56, 72]"});
  refused("1048576,1048592", {"64", "[1048576, 1048592]"});
  refused("9223372036854775808,9223372036854775824", {"64", "9223372036854775808"});
  refused("18446744073709551608,8", {"64", "18446744073709551608"});
  refused("18446744073709551600,18446744073709551615", {"64"});
  // One of two tensors that overlap is named, and so is one behind a hole.
  packer.RefusedHeader(With("[16,32]", "[0,16]"), {"_proj.weight", "data_offsets", "expected"});
  packer.RefusedHeader(With("[16,32]", "[17,33]"), {"_proj.weight", "data_offsets", "expected"});
  packer.RefusedHeader(With("[16,32]", "[15,31]"), {"_proj.weight", "data_offsets", "expected"});
  packer.Refused(SafetensorsWithHeader(With("[48,64]", "[52,68]"), Data() + "1234"),
                 {"o_proj.weight", "48", "52"});
  packer.Refused(SafetensorsWithHeader(GoodHeader(), Data() + "1"), {"64", "65"});
  packer.Refused(SafetensorsWithHeader(GoodHeader(), Data() + Data()), {"64", "128"});
}

TEST_CASE("what is no file, or not of this kind, is refused by its path") {
  const Packer packer;
  const Folder& folder = packer.folder();
  const auto refused = [&](const std::string& path) {
    CheckRefused(folder, {"pack", path, folder.Path("out"), "--heads", "1"}, 1, {path}, "out");
  };
  refused(folder.Path("absent.safetensors"));
  refused(folder.Path(""));
  refused(folder.Write("empty", ""));
  refused(folder.Write("zeros", std::string(1000, '\0')));
  refused(folder.Write("array.npy", NpyFloats({2, 2}, {1, 2, 3, 4})));
  refused(folder.Write("text", "heed"));
  refused("/dev/null");
}

}  // namespace
}  // namespace heed::test
