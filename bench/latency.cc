// bench/latency.cc
#include "bench/latency.h"

#include <algorithm>
#include <cstdio>

#include "bench/fail.h"
#include "bench/machine.h"

namespace heed::bench {
namespace {

struct Times {
  std::vector<double> seconds;

  template <typename Call>
  void Add(const Call& call) {
    const double start = Now();
    call();
    seconds.push_back(Now() - start);
  }
  double Percentile(size_t percent) const { return seconds[(seconds.size() - 1) * percent / 100]; }
  double spread() const { return Percentile(99) / Percentile(50); }
  void SortAndPrint(const char* shape, const char* name) {
    std::sort(seconds.begin(), seconds.end());
    printf("%-13s %-16s %9.1f %9.1f %9.1f %9.3f", shape, name, Percentile(50) * 1e6,
           Percentile(99) * 1e6, seconds.back() * 1e6, spread());
  }
};

std::unique_ptr<Contestant> Make(const Candidate& candidate, const Problem& problem, Floats* y) {
  std::unique_ptr<Contestant> contestant = candidate.make(problem);
  // Once through all copies: a virtual machine may have to find memory for them first.
  for (size_t copy = 0; copy < contestant->Copies(); ++copy) {
    contestant->Run(problem.x().data(), y->data());
  }
  return contestant;
}

}  // namespace

bool PrintLatency(const Shape& shape, const Setting& setting, const std::vector<Candidate>& layers,
                  size_t steps) {
  if (!shape.is_step()) Fail("--latency: " + shape.name + " has no cache", kWrongUsage);
  const Problem problem(shape);
  Floats y(problem.x().size());
  bool all_even = true;
  for (const Candidate& layer : layers) {
    const Candidate reader = ReaderCandidate(layer.types, setting);
    const std::unique_ptr<Contestant> heed = Make(layer, problem, &y);
    const std::unique_ptr<Contestant> read = Make(reader, problem, &y);
    Times step_times, read_times;
    for (size_t i = 0; i < steps; ++i) {
      step_times.Add([&] { heed->Run(problem.x().data(), y.data()); });
      read_times.Add([&] { read->Run(nullptr, nullptr); });
    }
    step_times.SortAndPrint(shape.name.c_str(), layer.name.c_str());
    printf("\n");
    read_times.SortAndPrint(shape.name.c_str(), reader.name.c_str());
    const double ratio = step_times.spread() / read_times.spread();
    printf(" %9.3f %s\n", ratio, ratio <= kLatencyMust ? "" : "MISSED");
    fflush(stdout);
    all_even = all_even && ratio <= kLatencyMust;
  }
  return all_even;
}

}  // namespace heed::bench
