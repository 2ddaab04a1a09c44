// bench/measure.cc
#include "bench/measure.h"

#include <alloca.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "bench/fail.h"
#include "bench/machine.h"
#include "tests/support/float_mode.h"

namespace heed::bench {
namespace {

constexpr double kTurn = 0.02;  // seconds
constexpr size_t kLine = 64;
constexpr size_t kFewestCalls = 20;

// An error that no rounding explains.
double Wrong(const Types& types) { return types.is_f32() ? 1e-4 : 0.3; }

double Median(std::vector<double>* values) {
  std::sort(values->begin(), values->end());
  return (*values)[values->size() / 2];
}

// How often the scheduler has taken the core away from this thread; 0 where it does not say.
long Preemptions() {
#if defined(RUSAGE_THREAD)
  rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage) == 0) return usage.ru_nivcsw;
#endif
  return 0;
}

// Seconds of calls. Those that were interrupted measure someone else's work, and count only where
// there are too few others.
struct Times {
  std::vector<double> whole, interrupted;
  double whole_total = 0.0, total = 0.0;

  bool IsDone(double seconds) const {
    return (whole_total >= seconds && whole.size() >= kFewestCalls) || total >= 20 * seconds;
  }
  std::vector<double> Sorted() const {
    std::vector<double> all = whole;
    if (whole.size() < kFewestCalls) all.insert(all.end(), interrupted.begin(), interrupted.end());
    std::sort(all.begin(), all.end());
    return all;
  }
  template <typename Call>
  void Add(const Call& call) {
    const long preemptions = Preemptions();
    const double start = Now();
    call();
    const double seconds = Now() - start;
    const bool is_whole = Preemptions() == preemptions;
    (is_whole ? whole : interrupted).push_back(seconds);
    if (is_whole) whole_total += seconds;
    total += seconds;
  }
};

// Calls until `duration` is full. The stack is moved down by 16 * shift bytes: where it falls badly
// among lines of 64 bytes oneDNN takes 15 % longer on kws, by chance for a whole process.
void TakeTurn(Contestant* contestant, double duration, bool cold, size_t shift, const float* x,
              float* y, Times* times) {
  auto* moved = static_cast<volatile char*>(alloca(16 * (shift + 1)));
  moved[0] = 0;
  if (!cold) contestant->Run(x, y);
  for (const double end = times->total + duration; times->total < end;) {
    times->Add([&] { contestant->Run(x, y); });
  }
}

// The best of the four places of the stack for this contestant.
size_t BestShift(Contestant* contestant, const float* x, float* y) {
  size_t best = 0;
  double best_seconds = 0.0;
  for (size_t shift = 0; shift < kLine / 16; ++shift) {
    Times times;
    TakeTurn(contestant, kTurn / 4, false, shift, x, y, &times);
    const double seconds = times.Sorted().front();
    if (shift > 0 && seconds >= best_seconds) continue;
    best = shift;
    best_seconds = seconds;
  }
  return best;
}

void Check(const Problem& problem, Entrant* entrant, Floats* y, Result* result) {
  std::fill(y->begin(), y->end(), 0.0f);
  entrant->contestant->Run(problem.x().data(), y->data());
  result->error = problem.ErrorOf(*y);
  const double error = result->error.of(result->types);
  if (error < Wrong(result->types)) return;
  char text[32];
  snprintf(text, sizeof(text), "%.1e", error);
  Fail(entrant->name + " on " + problem.shape().name + ": wrong by " + text);
}

}  // namespace

const Result* ShapeResult::Find(const std::string& name) const {
  for (const Result& result : results) {
    if (result.name == name) return &result;
  }
  return nullptr;
}

const Result* ShapeResult::Find(Role role, const Types& types) const {
  for (const Result& result : results) {
    if (result.role == role && result.types == types) return &result;
  }
  return nullptr;
}

void Measure(const Problem& problem, std::vector<Entrant> entrants, double seconds,
             const std::string& target, ShapeResult* all) {
  const bool cold = problem.shape().is_cold(), is_step = problem.shape().is_step();
  const float* x = problem.x().data();
  Floats y(problem.x().size());
  std::vector<Result> results(entrants.size());
  for (size_t i = 0; i < entrants.size(); ++i) {
    const test::FlushToZero flush(entrants[i].role == Role::kPeer);
    Result& result = results[i];
    static_cast<Identity&>(result) = entrants[i];
    result.bytes = entrants[i].contestant->Bytes();
    if (result.has_answer()) Check(problem, &entrants[i], &y, &result);
  }
  std::vector<size_t> shifts;
  for (const Entrant& entrant : entrants) {
    const test::FlushToZero flush(entrant.role == Role::kPeer);
    const bool small = !cold && problem.shape().flops() < 1e8;
    shifts.push_back(small ? BestShift(entrant.contestant.get(), x, y.data()) : 0);
  }
  // Once through all copies: a virtual machine may have to find memory for them first.
  for (size_t i = 0; cold && i < entrants.size(); ++i) {
    Contestant& contestant = *entrants[i].contestant;
    for (size_t copy = 0; copy < contestant.Copies(); ++copy) contestant.Run(x, y.data());
  }
  std::vector<Times> times(entrants.size());
  std::vector<double> peaks, int8_peaks, rates;
  const WeightType weights = entrants.front().types.weights;
  for (size_t round = 0, waiting = entrants.size(); waiting > 0; ++round) {
    waiting = 0;
    for (int i = 0; i < 4; ++i) peaks.push_back(FmaLoop(target).giga() * 1e9);
    if (is_step) int8_peaks.push_back(Int8DotLoop(target).giga() * 1e9);
    if (cold && !is_step && rates.size() < 9) rates.push_back(OneRowRate(target, weights));
    for (size_t turn = 0; turn < entrants.size(); ++turn) {
      const size_t i = (round + turn) % entrants.size();  // nobody always follows the same one
      if (times[i].IsDone(seconds)) continue;
      const test::FlushToZero flush(entrants[i].role == Role::kPeer);
      TakeTurn(entrants[i].contestant.get(), kTurn, cold, shifts[i], x, y.data(), &times[i]);
      ++waiting;
    }
  }
  for (size_t i = 0; i < entrants.size(); ++i) results[i].seconds = times[i].Sorted();
  std::move(results.begin(), results.end(), std::back_inserter(all->results));
  all->fma_peak = Median(&peaks);
  if (is_step) all->int8_peak = Median(&int8_peaks);
  if (cold && !is_step) all->one_row_rates[static_cast<size_t>(weights)] = Median(&rates);
}

}  // namespace heed::bench
