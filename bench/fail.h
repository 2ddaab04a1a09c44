// bench/fail.h: what ends the benchmark with one line.
#ifndef HEED_BENCH_FAIL_H_
#define HEED_BENCH_FAIL_H_

#include <cstdio>
#include <cstdlib>
#include <string>

#include "heed/status.h"

namespace heed::bench {

inline constexpr int kWrongUsage = 2;

[[noreturn]] inline void Fail(const std::string& what, int exit_code = 1) {
  fprintf(stderr, "heed_bench: error: %s\n", what.c_str());
  exit(exit_code);
}

// `where` comes before the sentence.
inline void Require(const Status& status, const std::string& where = "") {
  if (status.ok()) return;
  char sentence[160];
  FormatStatus(status, sentence, sizeof(sentence));
  Fail(where + sentence);
}

}  // namespace heed::bench

#endif  // HEED_BENCH_FAIL_H_
