// tests/cli/hostile_npy_test.cc: `heed run` survives every broken .npy file, as a query and as a
// mask, and says what is wrong with it.
#include <filesystem>
#include <system_error>

#include <doctest/doctest.h>

#include "tests/cli/call.h"

namespace heed::test {
namespace {

const std::string kGoodHeader = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n";

std::string Data() { return BytesOf(std::vector<float>(12, 0.5f)); }

// A layer of embed_dim 4 and a query to spoil.
class Reader {
 public:
  Reader() : call_(MakeLayer(), CallSizes{1, 3, 0, false, false, false}, 101) {}
  static LayerData MakeLayer() {
    Random random(102);
    return NormalLayer(Shape(4, 2), random);
  }
  Words WordsFor(const std::string& file) const {
    return {"run", call_.packed(), "--query", folder().Write("bad.npy", file), "--output",
            folder().Path("y.npy")};
  }
  void Refused(const std::string& file, const Words& words) const {
    CheckRefused(folder(), WordsFor(file), 1, words + Words{folder().Path("bad.npy")}, "y.npy");
  }
  // The same bytes as a mask of the good query.
  void RefusedAs(const std::string& option, const std::string& file, const Words& words) const {
    CheckRefused(folder(),
                 call_.words() + Words{option, folder().Write("bad.npy", file), "--output",
                                       folder().Path("y.npy")},
                 1, words + Words{folder().Path("bad.npy")}, "y.npy");
  }
  void RefusedHeader(const std::string& header, const Words& words) const {
    Refused(NpyWithHeader(header, Data()), words);
  }
  const LayerCall& call() const { return call_; }
  const Folder& folder() const { return call_.folder(); }

 private:
  LayerCall call_;
};

// The good header with one part replaced.
std::string With(const std::string& part, const std::string& replacement) {
  std::string header = kGoodHeader;
  const size_t at = header.find(part);
  REQUIRE(at != std::string::npos);
  return header.replace(at, part.size(), replacement);
}

TEST_CASE("every way in which NumPy may write the same array is read alike") {
  const Reader reader;
  const Words print = {"run", reader.call().packed(), "--query", reader.folder().Path("a.npy")};
  const auto run = [&](const std::string& file) {
    reader.folder().Write("a.npy", file);
    return HeedOk(print);
  };
  const std::string wanted = run(NpyWithHeader(kGoodHeader, Data()));
  for (const char version : {2, 3}) {
    CHECK(run(NpyWithHeader(kGoodHeader, Data(), version)) == wanted);
  }
  for (const std::string header :
       {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}",
        "{'shape': (3, 4), 'descr': '<f4', 'fortran_order': False, }           \n",
        "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (3, 4)}\n",
        "{'descr':'<f4','fortran_order':False,'shape':(3,4,)}\n"}) {
    CHECK(run(NpyWithHeader(header, Data())) == wanted);
  }
  CHECK(run(Npy("<f4", {3, 4}, Data())) == wanted);
  // A header of 70000 bytes, as version 2 is for.
  CHECK(run(NpyWithHeader(kGoodHeader + std::string(70000, ' '), Data(), 2)) == wanted);
}

TEST_CASE("a .npy file cut at any byte is refused, as a query and as a mask") {
  const Reader reader;
  const std::string good = Npy("<f4", {3, 4}, Data());
  for (size_t size = 0; size < good.size(); size += Stride(1, 17)) {
    CAPTURE(size);
    CHECK(!Survives(reader.WordsFor(good.substr(0, size))));
  }
  const std::string mask = Npy("|b1", {3, 3}, std::string(9, '\1'));
  for (size_t size = 0; size < mask.size(); size += Stride(3, 29)) {
    CAPTURE(size);
    CHECK(!Survives(reader.call().words() +
                    Words{"--keep-mask", reader.folder().Write("m.npy", mask.substr(0, size))}));
  }
  CHECK(!reader.folder().Has("y.npy"));
}

TEST_CASE("data that is shorter or longer than the shape says is refused with both sizes") {
  const Reader reader;
  const std::string header = NpyWithHeader(kGoodHeader, "");
  for (const size_t bytes : {0, 4, 47, 49, 52, 96}) {
    reader.Refused(header + std::string(bytes, '\0'),
                   {"[3, 4]", "expected 48", "got " + std::to_string(bytes)});
  }
}

TEST_CASE("another magic, an unknown version, or a header beyond the file is refused") {
  const Reader reader;
  const std::string good = Npy("<f4", {3, 4}, Data());
  for (size_t i = 0; i < 6; ++i) {
    std::string file = good;
    file[i] = static_cast<char>(file[i] ^ 0x20);
    reader.Refused(file, {".npy"});
  }
  for (const int version : {0, 4, 9, 255}) {
    std::string file = good;
    file[6] = static_cast<char>(version);
    reader.Refused(file, {"version", "expected 1 to 3", "got " + std::to_string(version)});
  }
  const std::string start("\x93NUMPY\x01\0", 8), start2("\x93NUMPY\x02\0", 8);
  reader.Refused(start + Number(65535, 2) + kGoodHeader + Data(),
                 {"header", "expected 65535", "got 108"});
  reader.Refused(start2 + Number(0xffffffffu, 4) + kGoodHeader + Data(),
                 {"header", "expected 4294967295", "got 108"});
  reader.Refused(start2 + Number(109, 4) + kGoodHeader + Data(), {"expected 109", "got 108"});
  reader.Refused(start + Number(0, 2) + kGoodHeader + Data(), {"header"});
  reader.Refused(start + Number(30, 2) + kGoodHeader + Data(), {"header"});
  reader.Refused(Safetensors({}), {".npy"});
}

TEST_CASE("a file of the wrong size is refused before memory is taken for it") {
  const Reader reader;
  const std::string path = reader.folder().Path("sparse.npy");
  const std::string start("\x93NUMPY\x02\0", 8);
  const std::string shape = With("3, 4", "3, 1000000000");  // 12 GB
  for (const std::string& file :
       {start + Number(0xfffffff0u, 4) + kGoodHeader, start + Number((1 << 20) + 1, 4) + "{",
        NpyWithHeader(shape, "")}) {
    reader.folder().Write("sparse.npy", file);
    std::error_code error;
    std::filesystem::resize_file(path, uint64_t{5} << 30, error);
    if (error) {
      MESSAGE("skipped: no sparse files of 5 GB here");
      return;
    }
    const Outcome outcome = Heed({"run", reader.call().packed(), "--query", path});
    CheckError(outcome, 1, {path, "expected ", "got "});
    CHECK(outcome.peak_bytes < size_t{300} << 20);
  }
  std::filesystem::remove(path);
}

TEST_CASE("an error of a header shows what stands there") {
  const Reader reader;
  reader.RefusedHeader(With("'<f4'", "[('a', '<f4')]"), {"expected a string", "[('a', '<f4')], "});
  reader.RefusedHeader(With("False", "0"), {"expected True or False", "got \"0, 'shape'"});
  reader.RefusedHeader(With("3, 4", "-1, 4"), {"expected a number", "got '-1, 4)"});
  reader.RefusedHeader(With("}", ""), {"got its end"});
  reader.RefusedHeader(With("False", "\x1b[2J"), {"got \"\\u001b[2J"});
}

TEST_CASE("a type that is not wanted is refused by its name") {
  const Reader reader;
  for (const std::string descr : {">f8", ">f4", "<f16", "<c8", "|b1", "<i4", "<U4", "|O", "<f44",
                                  "", "f4x", ">i8", "|V4"}) {
    CAPTURE(descr);
    reader.RefusedHeader(With("<f4", descr), {"type", "expected float32", "got "});
  }
  reader.RefusedHeader(With("'<f4'", "[('a', '<f4'), ('b', '<f4')]"), {"header"});
  reader.RefusedHeader(With("'<f4'", "[('a', '<f4', (3, 4))]"), {"header"});
  reader.RefusedHeader(With("'<f4'", "'<f4"), {"header"});
  reader.RefusedAs("--bias-mask", Npy("|b1", {3, 3}, std::string(9, '\1')),
                   {"expected float32", "got bool"});
  for (const std::string option : {"--keep-mask", "--ignore-mask", "--key-padding-mask"}) {
    reader.RefusedAs(option, Npy("<u4", {3, 3}, std::string(36, '\1')),
                     {"expected float32 or float16 or float64 or bool or uint8", "got '<u4'"});
    reader.RefusedAs(option, Npy("<c8", {3, 3}, std::string(72, '\1')), {"type", "<c8"});
    reader.RefusedAs(option, Npy("<i2", {3, 3}, std::string(18, '\1')), {"type", "<i2"});
  }
  for (const std::string descr : {"<f4", "<u4", ">i4", "|u1", "<i2"}) {
    reader.RefusedAs("--key-lengths", Npy(descr, {1}, std::string(4, '\0')),
                     {"expected int32 or int64", "got "});
  }
}

TEST_CASE("Fortran order is refused, but for arrays in which it means nothing") {
  const Reader reader;
  reader.RefusedHeader(With("False", "True"), {"C order", "Fortran"});
  reader.RefusedHeader(With("False", "None"), {"header"});
  reader.RefusedHeader(With("False", "0"), {"header"});
  const std::string lengths = "{'descr': '<i4', 'fortran_order': True, 'shape': (1,), }";
  HeedOk(reader.call().words() +
         Words{"--key-lengths",
               reader.folder().Write("l.npy", NpyWithHeader(lengths, Number(2, 4)))});
}

TEST_CASE("a shape that overflows, is no tuple of counts, or has too many dimensions is refused") {
  const Reader reader;
  for (const std::string shape :
       {"4294967296, 4294967296", "9223372036854775808, 2", "18446744073709551615, 4",
        "4611686018427387904, 1", "4611686018427387907, 4", "0, 9223372036854775808, 16",
        "18446744073709551616, 1", "99999999999999999999999999999, 1",
        "65536, 65536, 65536, 65536, 65536"}) {
    CAPTURE(shape);
    reader.RefusedHeader(With("3, 4", shape), {"expected"});
  }
  for (const std::string shape : {"-3, -4", "-1", "3.0, 4", "3 4", "3,, 4", ",", "'3', 4", "3, x",
                                  "(3, 4)", "None"}) {
    CAPTURE(shape);
    reader.RefusedHeader(With("3, 4", shape), {"header", "expected"});
  }
  for (const std::string shape : {"[3, 4]", "12", "(3, 4", "3, 4)", "()3", "{}"}) {
    CAPTURE(shape);
    reader.RefusedHeader(With("(3, 4)", shape), {"header", "expected"});
  }
  for (const size_t rank : {33, 1000}) {
    std::string ones;
    for (size_t i = 0; i < rank; ++i) ones += "1, ";
    reader.Refused(NpyWithHeader(With("3, 4", ones), Data()), {"dimensions"});
  }
}

TEST_CASE("a header with a missing, double or unknown key is refused") {
  const Reader reader;
  for (const std::string& header :
       {std::string(), std::string("{}"), std::string("None"), std::string("["),
        With("'descr': '<f4', ", ""), With("'fortran_order': False, ", ""),
        With("'shape': (3, 4), ", ""), With("}", "'descr': '<f4'}"),
        With("}", "'shape': (3, 4)}"), With("}", "'more': 1}"), With("}", "'more': '1'}"),
        With("'descr'", "descr"), With("'descr'", "'Descr'"), With("'descr':", "'descr'"),
        With(", 'shape'", " 'shape'"), With("}", "}}"), With("}", "} x"), With("}", ""),
        With("{", ""), With("{", "{{"), With(", }", ",, }"), std::string(1000, '{'),
        std::string(1000, '('), std::string(1000, '\''), std::string(1000, '\0'),
        With("}", std::string("}\0x", 3))}) {
    CAPTURE(header);
    reader.RefusedHeader(header, {"header", "expected"});
  }
}

TEST_CASE("what is no .npy file is refused by its path") {
  const Reader reader;
  for (const std::string& path : {reader.folder().Path("absent.npy"), reader.folder().Path(""),
                                  reader.call().packed(), std::string("/dev/null")}) {
    CheckRefused(reader.folder(), {"run", reader.call().packed(), "--query", path}, 1, {path});
    CheckRefused(reader.folder(), reader.call().words() + Words{"--keep-mask", path}, 1, {path});
    CheckRefused(reader.folder(), {"sdpa", "--query", path, "--key", path, "--value", path}, 1,
                 {path});
  }
}

}  // namespace
}  // namespace heed::test
