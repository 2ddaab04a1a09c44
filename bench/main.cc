// bench/main.cc: heed_bench. Google Benchmark registers, filters and writes JSON; the contestants
// of a shape are timed together, in turns, by measure.cc, and each benchmark reports its part.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "bench/check.h"
#include "bench/contestant.h"
#include "bench/cpu.h"
#include "bench/fail.h"
#include "bench/latency.h"
#include "bench/machine.h"
#include "bench/measure.h"
#include "bench/operations.h"
#include "bench/options.h"
#include "bench/report.h"
#include "heed/attention.h"
#include "threads/thread_pool.h"

namespace heed::bench {
namespace {

[[noreturn]] void Refuse(const std::string& what) { Fail(what, kWrongUsage); }

std::vector<std::string> Targets(const Options& options) {
  std::vector<std::string> usable, chosen;
  for (size_t i = 0; i < TargetCount(); ++i) usable.push_back(TargetName(i));
  if (usable.empty()) Refuse("this CPU has no vectors that heed knows");
  if (options.avx2 && usable[0] != "AVX2") Refuse("--isa avx2: this CPU lacks it");
  for (const std::string& target : options.targets) {
    if (target == "all") {
      chosen.insert(chosen.end(), usable.begin(), usable.end());
    } else if (std::find(usable.begin(), usable.end(), target) != usable.end()) {
      chosen.push_back(target);
    } else {
      Refuse("--target " + target + ": expected one of heed's targets on this CPU, or all");
    }
  }
  if (chosen.empty()) chosen.push_back(usable[0]);
  return chosen;
}

// Measures each shape when the first of its benchmarks runs.
class Session {
 public:
  explicit Session(const Options& options)
      : options_(options), pool_(options.threads), wanted_(options.contestants) {
    setting_.targets = Targets(options);
    setting_.threads = options.threads;
    setting_.avx2 = options.avx2;
    if (options.threads > 1) setting_.executor = pool_.executor();
  }
  Session(const Session&) = delete;  // contestants refer to the setting
  Session& operator=(const Session&) = delete;

  const std::vector<std::string>& targets() const { return setting_.targets; }

  std::vector<std::string> Names(const Shape& shape) const {
    std::vector<std::string> names;
    for (const Candidate& candidate : Chosen(shape)) {
      if (candidate.role != Role::kStage) names.push_back(candidate.name);
    }
    return names;
  }

  const ShapeResult& Get(const Shape& shape) {
    for (const ShapeResult& result : results_) {
      if (result.shape.name == shape.name) return result;
    }
    if (results_.empty() && options_.machine) PrintMachine(targets());
    const Problem problem(shape);
    ShapeResult result;
    result.shape = shape;
    const std::vector<Candidate> chosen = Chosen(shape);
    if (shape.is_cold()) {
      // One type of weights after the other: memory may not hold the copies of all of them.
      for (const char* name : kWeightNames) MeasureSome(problem, chosen, name, &result);
    } else {
      MeasureSome(problem, chosen, nullptr, &result);
    }
    results_.push_back(std::move(result));
    PrintTable(results_.back());
    return results_.back();
  }

  // True where the goal of latency.h holds.
  bool Latency() const {
    if (options_.machine) PrintMachine(targets());
    printf(
        "\n%zu steps, us; the last column is heed's p99 / p50 over that of the read, must %.2f\n",
        options_.steps, kLatencyMust);
    printf("%-13s %-16s %9s %9s %9s %9s\n", "", "", "p50", "p99", "max", "p99 / p50");
    bool ok = true;
    for (const Shape& shape : options_.shapes) {
      std::vector<Candidate> layers = Chosen(shape);
      const auto is_left_out = [](const Candidate& candidate) {
        const Types& types = candidate.types;
        const bool is_int8 = types.weights == WeightType::kInt8 && types.cache == CacheType::kInt8;
        return candidate.role != Role::kHeed || !(types.is_f32() || is_int8);
      };
      layers.erase(std::remove_if(layers.begin(), layers.end(), is_left_out), layers.end());
      ok = PrintLatency(shape, setting_, layers, options_.steps) && ok;
    }
    return ok;
  }

  void PrintSummary() const { PrintRatios(results_); }
  bool Check() const { return CheckGoals(results_, options_.avx2); }

 private:
  std::vector<Candidate> Chosen(const Shape& shape) const {
    std::vector<Candidate> all = HeedCandidates(shape, setting_), chosen;
    for (Candidate& peer : PeerCandidates(shape, setting_)) all.push_back(std::move(peer));
    for (Candidate& candidate : all) {
      const bool is_yardstick = candidate.name == kYardstick && !shape.is_cold();
      if (!options_.Takes(candidate.types.weights) && !is_yardstick) continue;
      const std::string& name = candidate.layer.empty() ? candidate.name : candidate.layer;
      // The floor of a layer needs its reader, which comes after it.
      const auto is_read_by = [&](const Candidate& layer) {
        return layer.role == Role::kHeed && layer.types == candidate.types;
      };
      const bool takes_part = candidate.role == Role::kRead
                                  ? std::any_of(chosen.begin(), chosen.end(), is_read_by)
                                  : std::regex_search(name, wanted_);
      if (takes_part) chosen.push_back(std::move(candidate));
    }
    return chosen;
  }

  // Those with weights of that name, or all.
  void MeasureSome(const Problem& problem, const std::vector<Candidate>& candidates,
                   const char* weights, ShapeResult* result) {
    std::vector<Entrant> entrants;
    for (const Candidate& candidate : candidates) {
      if (weights != nullptr && NameOf(candidate.types.weights) != std::string(weights)) continue;
      Entrant entrant;
      static_cast<Identity&>(entrant) = candidate;
      entrant.contestant = candidate.make(problem);
      if (entrant.contestant != nullptr) entrants.push_back(std::move(entrant));
    }
    if (entrants.empty()) return;
    Measure(problem, std::move(entrants), options_.seconds, targets()[0], result);
  }

  Options options_;
  ThreadPool pool_;
  Setting setting_;
  std::regex wanted_;
  std::vector<ShapeResult> results_;
};

void Report(benchmark::State& state, const ShapeResult& all, const std::string& name) {
  const Result* result = all.Find(name);
  if (result == nullptr) {
    state.SkipWithError("cannot run this shape");
    return;
  }
  double total = 0.0;
  for (double seconds : result->seconds) total += seconds;
  const auto calls = static_cast<benchmark::IterationCount>(result->seconds.size());
  while (state.KeepRunningBatch(calls)) state.SetIterationTime(total);
  for (const auto& [figure, value] : FiguresOf(all, *result)) state.counters[figure] = value;
}

// The tables are printed as shapes are measured; Google Benchmark's own would repeat them.
class Silent : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

int Main(int argc, char** argv) {
  std::vector<char*> original(argv, argv + argc + 1);
  Options options = ParseOptions(&argc, argv);
  SetEnvironment(options, original.data());
  if (options.check && options.threads != 1) Refuse("--check: targets are for one thread");
  if (options.avx2) {
    HoldToAvx2();
    for (Shape& shape : options.shapes) shape.f32 = shape.int8 = Goal();  // kAvx2Must instead
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;

  if (options.operations) {
    PrintOperations(Targets(options), options.seconds);
    return 0;
  }
  Session session(options);
  if (options.latency) return !session.Latency() && options.check ? 1 : 0;
  for (const Shape& shape : options.shapes) {
    for (const std::string& name : session.Names(shape)) {
      const auto run = [&session, shape, name](benchmark::State& state) {
        Report(state, session.Get(shape), name);
      };
      benchmark::RegisterBenchmark((shape.name + "/" + name).c_str(), run)
          ->Iterations(1)
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
  benchmark::AddCustomContext("cpu", CpuName());
  benchmark::AddCustomContext("clock", Clock());
  benchmark::AddCustomContext("heed_target", session.targets()[0]);
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("threads", std::to_string(options.threads));
  benchmark::AddCustomContext("peers", PeerVersions());
  Silent silent;
  benchmark::RunSpecifiedBenchmarks(&silent);
  session.PrintSummary();
  return options.check && !session.Check() ? 1 : 0;
}

}  // namespace
}  // namespace heed::bench

int main(int argc, char** argv) { return heed::bench::Main(argc, argv); }
