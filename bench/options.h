// bench/options.h: the command line of heed_bench, and what the peers read from the environment.
#ifndef HEED_BENCH_OPTIONS_H_
#define HEED_BENCH_OPTIONS_H_

#include <algorithm>
#include <string>
#include <vector>

#include "bench/shapes.h"

namespace heed::bench {

struct Options {
  std::vector<Shape> shapes;
  std::vector<std::string> targets;  // empty: the best one
  std::string contestants = ".";     // regular expression on names
  std::vector<WeightType> weights;   // empty: all
  size_t threads = 1;
  double seconds = 0.5;  // the least time for each contestant on each shape
  bool avx2 = false;     // everyone is held to AVX2
  bool check = false;
  bool operations = false;  // time heed's operations instead of layers
  bool latency = false;     // time single steps beside plain reads instead of layers
  size_t steps = 10000;     // of each in --latency
  bool machine = true;      // print the machine's limits first

  bool Takes(WeightType type) const {
    return weights.empty() || std::find(weights.begin(), weights.end(), type) != weights.end();
  }
};

// Takes its own options out of argv and leaves the rest, for Google Benchmark. Prints help or an
// error and exits where they ask for it.
Options ParseOptions(int* argc, char** argv);

// Sets the variables by which oneDNN, OpenMP and OpenBLAS choose threads and instruction sets, and
// removes what would hold a peer below its best form. They are read when libraries are loaded:
// where one had to change, the program starts itself again.
void SetEnvironment(const Options& options, char** argv);

}  // namespace heed::bench

#endif  // HEED_BENCH_OPTIONS_H_
