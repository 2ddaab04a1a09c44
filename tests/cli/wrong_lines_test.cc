// tests/cli/wrong_lines_test.cc: wrong command lines of every kind: each is answered with one
// short line that says which argument was wrong, what was expected and what came.
#include <sys/resource.h>

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/cli/call.h"
#include "tests/support/effort.h"

namespace heed::test {
namespace {

struct Line {
  Words args;
  int exit_code;
  std::string message;  // all of it, after "heed: error: "
};

TEST_CASE("a wrong command line is answered with one line in words") {
  Random random(62);
  const LayerCall call(NormalLayer(Shape(8, 2), random), CallSizes{1, 3, 4, true}, 61);
  const std::string packed = call.packed(), query = call.folder().Path("query.npy");
  const std::string all = "pack, info, run, sdpa, size, report, targets, selftest, help";
  const std::string usage = " (see heed --help)";
  const std::string long_name(5000, 'a');
  const std::string cut = "'" + std::string(60, 'a') + "...'";
  const Words run = {"run", packed, "--query", query};
  const Line lines[] = {
      {{}, 2, "expected a subcommand, got none" + usage},
      {{"frob"}, 2, "expected a subcommand (" + all + "), got 'frob'" + usage},
      {{""}, 2, "expected a subcommand (" + all + "), got ''" + usage},
      {{"--frob", "3"}, 2, "expected a subcommand (" + all + "), got '--frob' '3'" + usage},
      {{long_name}, 2, "expected a subcommand (" + all + "), got " + cut + usage},
      {{"fr\x1b[31mob\n"}, 2, ""},
      {{"info", packed, "more"}, 2, "info: expected arguments that it knows, got 'more'" + usage},
      {run + Words{"--wat", "1", "2"}, 2,
       "run: expected arguments that it knows, got '--wat' '1' '2'" + usage},
      {run + Words{"--wat", "1", "2", "3", "4", "5", "6", "7"}, 2,
       "run: expected arguments that it knows, got '--wat' '1' '2' '3' '4' '5' ..." + usage},
      {{"targets", "selftest"}, 2, ""},
      {{"run", packed, "--query"}, 2, "--query: expected a value, got none" + usage},
      {run + Words{"--query", query}, 2, "--query: expected once, got it again" + usage},
      {run + Words{"--threads", "x"}, 2,
       "--threads: expected a decimal integer, got 'x'" + usage},
      {run + Words{"--threads", ""}, 2, "--threads: expected a decimal integer, got ''" + usage},
      {run + Words{"--threads", "nan"}, 2,
       "--threads: expected a decimal integer, got 'nan'" + usage},
      {run + Words{"--threads", std::string(5000, '9')}, 2,
       "--threads: expected an integer of 64 bits, got '" + std::string(60, '9') + "...'" + usage},
      {run + Words{"--threads", long_name}, 2,
       "--threads: expected a decimal integer, got " + cut + usage},
      {run + Words{"--target", ""}, 2, "--target: expected a value, got ''" + usage},
      {{"run", "", "--query", query}, 2, "FILE.heed: expected a value, got ''" + usage},
      {{"pack", "in", "out", "--heads", "2", "--weights", "f64"}, 2,
       "--weights: expected one of f32, bf16, int8, int4, got 'f64'" + usage},
      {{"pack", "in", "out", "--heads", "2", "--core", "\x7f"}, 2, ""},
      {{"pack", "in", "out", "--heads", "2", "--scale", "1,5"}, 2,
       "--scale: expected a number, got '1,5'" + usage},
      {{"pack", "in", "out", "--heads", "2", "--scale", "0x"}, 2, ""},
      {run + Words{"--window", "2,x"}, 2,
       "--window: expected a decimal integer, got '2,x'" + usage},
      // Neither a value of a flag nor one dash in place of two is dropped in silence.
      {run + Words{"--causal=no"}, 2, "--causal: expected no value, got one" + usage},
      {{"info", packed, "--json=0"}, 2, "--json: expected no value, got one" + usage},
      {{"pack", "in", "--list=maybe"}, 2, "--list: expected no value, got one" + usage},
      {{"pack", "in", "out", "--heads", "2", "--add-zero-attn=false"}, 2,
       "--add-zero-attn: expected no value, got one" + usage},
      {{"pack", "in", "out", "-heads", "2"}, 2,
       "expected options with two dashes, got '-heads'" + usage},
      {{"pack", "in", "out", "-heads=2"}, 2,
       "expected options with two dashes, got '-heads=2'" + usage},
      {{"info", call.folder().Path("query.npy")}, 1,
       query + ": expected a packed file, got a NumPy array (.npy)"},
  };
  for (const Line& line : lines) {
    const Outcome outcome = Heed(line.args);
    CAPTURE(outcome.err);
    CHECK(outcome.exit_code == line.exit_code);
    CHECK(outcome.out.empty());
    CHECK(outcome.err.rfind("heed: error: ", 0) == 0);
    CHECK(outcome.err.size() <= 600);
    REQUIRE(!outcome.err.empty());
    CHECK(outcome.err.back() == '\n');
    CHECK(std::count_if(outcome.err.begin(), outcome.err.end(), [](unsigned char c) {
            return c < 0x20 || c == 0x7f;
          }) == 1);
    if (!line.message.empty()) CHECK(outcome.err == "heed: error: " + line.message + "\n");
  }
}

#if defined(__x86_64__)
TEST_CASE("threads that cannot start are told by the option that asked for them") {
  if (kIsSanitized) return;  // AddressSanitizer reserves terabytes of addresses for itself
  Random random(62);
  const LayerCall call(NormalLayer(Shape(8, 2), random), CallSizes{1, 3, 4, true}, 61);
  rlimit before;
  REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
  rlimit small = before;
  small.rlim_cur = rlim_t{512} << 20;  // less than 1023 stacks of 8 MB, and enough for the rest
  REQUIRE(setrlimit(RLIMIT_AS, &small) == 0);
  const Outcome outcome = Heed({"run", call.packed(), "--query", call.folder().Path("query.npy"),
                                "--threads", "1024"});
  REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
  CheckError(outcome, 1, {"--threads: cannot start a thread: "});
}
#endif

TEST_CASE("a long value is cut between two characters") {
  const std::string text = std::string(59, 'a') + "\xc3\xa4\xc3\xa4";
  CHECK(Heed({"run", "x", "--query", "y", "--threads", text}).err ==
        "heed: error: --threads: expected a decimal integer, got '" + std::string(59, 'a') +
            "...' (see heed --help)\n");
}

}  // namespace
}  // namespace heed::test
