// tests/cli/names_test.cc: whatever names a file holds, a message is one line that a terminal shows
// as it is, of bounded length, and --list can be taken apart again.
#include <algorithm>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/files.h"
#include "tests/cli/program.h"

namespace heed::test {
namespace {

// Names with what must not reach a terminal, or what breaks quotes; in UTF-8.
const Words& OddNames() {
  static const Words kNames = {
      "a b", "it's", "say \"hi\"", "back\\slash", "'", "\"", "\\", "\\u0041", "=", "a='b'",
      "\n", "\r\n", "\t", "\x1b[2J\x1b[31m", std::string(1, '\0'), "\x7f",
      "\xc2\x85", "\xc2\x9b" "31m",                        // C1: NEL, CSI
      "\xe2\x80\xae" "evil", "\xe2\x80\xaa", "\xe2\x80\xad",  // bidirectional
      "\xe2\x81\xa6x\xe2\x81\xa9", "\xe2\x80\x8e", "\xe2\x80\x8f", "\xd8\x9c",
      "\xe2\x80\x8b", "\xe2\x80\x8d", "\xe2\x81\xa0", "\xef\xbb\xbf", "\xc2\xad",  // zero-width
      "\xe2\x80\xa8", "\xe2\x80\xa9",                      // line and paragraph separators
      "\xf3\xa0\x80\xa0", "\xf3\xa0\x81\xbf",              // tags
      "\xc3\xa4\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xe4\xbd\xa0\xe5\xa5\xbd",  // shown as they are
  };
  return kNames;
}

// No byte sequence of the hidden kind is in the text; `line_ends` newlines are.
void CheckPlain(const std::string& text, size_t line_ends) {
  INFO("text: ", text);
  size_t ends = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    ends += c == '\n';
    CHECK((c == '\n' || (byte >= 0x20 && byte != 0x7f)));
  }
  CHECK(ends == line_ends);
  for (const std::string hidden :
       {"\xc2\x85", "\xc2\x9b", "\xe2\x80\xae", "\xe2\x80\xaa", "\xe2\x80\xad", "\xe2\x81\xa6",
        "\xe2\x81\xa9", "\xe2\x80\x8e", "\xe2\x80\x8f", "\xd8\x9c", "\xe2\x80\x8b", "\xe2\x80\x8d",
        "\xe2\x81\xa0", "\xef\xbb\xbf", "\xc2\xad", "\xe2\x80\xa8", "\xe2\x80\xa9",
        "\xf3\xa0\x80\xa0", "\xf3\xa0\x81\xbf"}) {
    CHECK(text.find(hidden) == std::string::npos);
  }
}

// The name=value pairs of a line, as the help of --list says that they are written.
std::vector<std::pair<std::string, std::string>> Pairs(const std::string& line) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (size_t at = 0; at < line.size();) {
    const size_t equals = line.find('=', at);
    REQUIRE(equals != std::string::npos);
    const std::string name = line.substr(at, equals - at);
    size_t begin = equals + 1, end = begin;
    std::string value;
    if (line.at(begin) == '\'') {
      end = line.find('\'', begin + 1);
      REQUIRE(end != std::string::npos);
      value = line.substr(begin + 1, end - begin - 1);
      ++end;
    } else if (line.at(begin) == '"') {
      for (end = begin + 1; line.at(end) != '"'; ++end) end += line[end] == '\\' ? 1 : 0;
      ++end;
      value = nlohmann::json::parse(line.substr(begin, end - begin)).get<std::string>();
    } else {
      end = std::min(line.find(' ', begin), line.size());
      value = line.substr(begin, end - begin);
    }
    pairs.emplace_back(name, value);
    REQUIRE((end == line.size() || line[end] == ' '));
    at = end + 1;
  }
  return pairs;
}

LayerData MakeLayer() {
  Random random(161);
  return NormalLayer(Shape(4, 1), random);
}

TEST_CASE("every line of --list is split again into the names and values that it was made of") {
  for (const bool usable : {true, false}) {
    for (const std::string& name : OddNames()) {
      const std::string prefix = name + "." + name + ".";
      auto tensors = Saved(MakeLayer(), Naming::kDecoder, prefix);
      if (!usable) tensors.erase(tensors.begin());
      const Folder folder;
      const std::string out =
          HeedOk({"pack", folder.Write("in.safetensors", Safetensors(tensors)), "--list"});
      CheckPlain(out, 1);
      const auto pairs = Pairs(out.substr(0, out.size() - 1));
      REQUIRE(pairs.size() == (usable ? 8 : 3));
      CHECK(pairs[0].first == "prefix");
      CHECK((pairs[0].second == prefix));
      CHECK(pairs[1] == std::pair<std::string, std::string>("naming", "Hugging Face"));
      CHECK(pairs[2].first == (usable ? "embed_dim" : "unusable"));
      if (!usable) CHECK(pairs[2].second.find("missing") != std::string::npos);
    }
  }
}

TEST_CASE("a prefix as --list tells it chooses the layer") {
  for (const std::string& name : OddNames()) {
    if (name.find('\0') != std::string::npos) continue;  // no argument can hold it
    auto tensors = Saved(MakeLayer(), Naming::kDecoder, name + ".");
    const auto more = Saved(MakeLayer(), Naming::kDecoder, "other.");
    tensors.insert(tensors.end(), more.begin(), more.end());
    const Folder folder;
    HeedOk({"pack", folder.Write("in.safetensors", Safetensors(tensors)), folder.Path("out"),
            "--heads", "1", "--prefix", name});
  }
}

TEST_CASE("messages escape what names hold, wherever the name stands") {
  for (const std::string& name : OddNames()) {
    const Folder folder;
    const auto refused = [&](const std::vector<SavedTensor>& tensors, const Words& options = {}) {
      const Outcome outcome = Heed(Words{"pack", folder.Write("in", Safetensors(tensors)),
                                         folder.Path("out"), "--heads", "1"} + options);
      CheckError(outcome, 1, {});
      CheckPlain(outcome.err, 1);
    };
    const auto whole = Saved(MakeLayer(), Naming::kDecoder, name + ".");
    auto tensors = whole;
    tensors.push_back({name + ".x", "F32", {1}, "1234"});
    refused(tensors);
    refused(whole, {"--prefix", "\xff" + name.substr(0, name.find('\0'))});
    refused(whole, {"--ignore", "\xc0" + name.substr(0, name.find('\0'))});
    tensors.pop_back();
    tensors[0].dtype = name;
    refused(tensors);
    tensors[0].dtype = "F32";
    tensors[0].shape = {2, 8};
    refused(tensors);
    tensors[0].shape = {4};
    refused(tensors);
    tensors.erase(tensors.begin());
    refused(tensors);
    refused({{name, "F32", {1}, "1234"}});
    CheckError(Heed({"info", folder.Path("\xe2\x80\xae\x1b\xff\n") + name.substr(0, 0)}), 1,
               {"\\u202e\\x1b\\xff\\x0a"});
  }
}

TEST_CASE("a message is one line of at most 1100 bytes that keeps its start and its end") {
  const Folder folder;
  const std::string name = std::string(200000, 'n') + "\xe2\x82\xac";
  auto tensors = Saved(MakeLayer(), Naming::kDecoder, name + ".");
  tensors[0].shape = {16};
  const std::string in = folder.Write("in.safetensors", Safetensors(tensors));
  const auto check = [&](const Words& args, int exit_code, const Words& words) {
    const Outcome outcome = Heed(args);
    CheckError(outcome, exit_code, words + Words{"..."});
    CHECK(outcome.err.size() <= 1100);
  };
  check({"pack", in, folder.Path("out"), "--heads", "1"}, 1,
        {"tensor nnn", ".q_proj.weight: expected [out, in], got [16]"});
  const std::string argument(100000, 'x');
  check({"pack", in, folder.Path("out"), "--heads", "1", "--prefix", argument}, 1,
        {"--prefix: expected one of", "got xxx"});
  check({"pack", in, folder.Path("out"), "--heads", argument}, 2, {"--heads", "got 'xxx"});
  check({argument}, 2, {});
  check({"info", argument}, 1, {"File name too long"});
}

}  // namespace
}  // namespace heed::test
