// tests/cli/linear_test.cc: the time to read a file is linear in its bytes, whatever they are.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/cli/files.h"
#include "tests/cli/program.h"

namespace heed::test {
namespace {

constexpr size_t kSmall = size_t{1} << 20, kLarge = size_t{4} << 20;

std::string Repeated(const std::string& text, size_t count) {
  std::string all;
  all.reserve(text.size() * count);
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

// An object of header entries without elements, of which Entry(i) is the name, up to `size` bytes.
template <typename Entry>
std::string EntriesOf(size_t size, const Entry& entry) {
  std::string header = "{";
  for (size_t i = 0; header.size() < size; ++i) {
    header += (i == 0 ? "\"" : ",\"") + entry(i) +
              R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  }
  return header + '}';
}

// CPU time of heed ARGS on the file: the least of several runs, since the machine may be busy.
double SecondsFor(const std::string& header, const Words& options) {
  const Folder folder;
  const std::string in =
      folder.Write("in.safetensors", SafetensorsWithHeader(header, std::string(16, '\0')));
  double least = 1e9;
  for (int run = 0; run < 5; ++run) {
    const Outcome outcome = Heed(Words{"pack", in} + options);
    CHECK(outcome.signal == 0);
    CHECK((outcome.exit_code == 0 || outcome.exit_code == 1));
    CHECK(outcome.err.size() <= 1100);
    least = std::min(least, outcome.cpu_seconds);
  }
  return least;
}

// Header(size) is about so many bytes. Four times the bytes take four times the time, with some
// room; twenty milliseconds are a start of the program and what the clock cannot tell.
template <typename Header>
void CheckLinear(const char* what, const Header& header) {
  if (StartsAreSlow()) return;  // an emulator's time says little
  const std::string small = header(kSmall), large = header(kLarge);
  for (const Words& options : {Words{"--list"}, Words{"/dev/null", "--heads", "1"}}) {
    const double seconds = SecondsFor(small, options);
    const double limit = 8 * seconds + 0.02;
    const double large_seconds = SecondsFor(large, options);
    INFO(what, ", ", options[0], ": ", seconds, " s and ", large_seconds, " s");
    CHECK(large_seconds <= limit);
    CHECK(seconds <= 2);
  }
}

TEST_CASE("a header of four times the bytes takes about four times the time") {
  CheckLinear("many tensors", [](size_t size) {
    return EntriesOf(size, [](size_t i) { return "t" + std::to_string(i); });
  });
  CheckLinear("tensors in layers", [](size_t size) {
    return EntriesOf(size, [](size_t i) { return std::to_string(i) + ".q_proj.weight"; });
  });
  CheckLinear("layers in layers", [](size_t size) {
    // Each name is two bytes longer than the one before, up to a length that `size` allows.
    return EntriesOf(size, [](size_t i) { return Repeated("a.", i) + "q_proj.weight"; });
  });
  CheckLinear("positions in layers", [](size_t size) {
    return EntriesOf(size, [](size_t i) {
      return std::to_string(i / 2) + (i % 2 == 0 ? ".q_proj.weight" : ".rotary.inv_freq");
    });
  });
  CheckLinear("long names", [](size_t size) {
    return EntriesOf(size, [](size_t i) { return std::string(10000, 'n') + std::to_string(i); });
  });
  CheckLinear("one name of many components", [](size_t size) {
    return EntriesOf(1, [&](size_t) { return Repeated("a.", size / 2) + "q_proj.weight"; });
  });
  CheckLinear("a long name of control characters", [](size_t size) {
    return EntriesOf(1, [&](size_t) { return Repeated("\\u001b", size / 6) + ".q_proj.weight"; });
  });
  CheckLinear("metadata", [](size_t size) {
    return R"({"__metadata__":{"a":")" + std::string(size, 'm') + "\"}}";
  });
  CheckLinear("much metadata", [](size_t size) {
    return R"({"__metadata__":{)" + Repeated(R"("a":"b",)", size / 8) + R"("a":"b"}})";
  });
  for (const std::string dimension : {"1", "2", "0"}) {
    CheckLinear("a long shape", [&](size_t size) {
      return R"({"bias_k":{"dtype":"F32","shape":[)" + Repeated(dimension + ",", size / 2) +
             R"(4],"data_offsets":[0,16]}})";
    });
  }
  CheckLinear("many offsets", [](size_t size) {
    return R"({"a":{"dtype":"F32","data_offsets":[)" + Repeated("0,", size / 2) + "16]}}";
  });
  CheckLinear("nested lists", [](size_t size) {
    return R"({"a":{"shape":)" + std::string(size, '[');
  });
  CheckLinear("spaces", [](size_t size) { return "{" + std::string(size, ' ') + "}"; });
  CheckLinear("one number", [](size_t size) {
    return R"({"a":{"shape":[)" + std::string(size, '9') + "]}}";
  });
  CheckLinear("an unknown type", [](size_t size) {
    return R"({"a":{"dtype":")" + std::string(size, 'F') + R"(","shape":[],"data_offsets":[0,4]}})";
  });
}

TEST_CASE("a layer that is found in a header of many tensors packs as fast") {
  CheckLinear("a layer among many tensors", [](size_t size) {
    std::string header = EntriesOf(size, [](size_t i) { return "t" + std::to_string(i); });
    header.pop_back();
    size_t at = 0;
    for (const std::string name : {"q_proj", "k_proj", "v_proj", "o_proj"}) {
      header += ",\"a." + name + R"(.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[)" +
                std::to_string(at) + "," + std::to_string(at + 4) + "]}";
      at += 4;
    }
    return header + "}";
  });
}

}  // namespace
}  // namespace heed::test
