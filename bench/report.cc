// bench/report.cc
#include "bench/report.h"

#include <algorithm>
#include <cstdio>

#include "bench/cpu.h"
#include "bench/machine.h"

namespace heed::bench {
namespace {

// A median against someone else's; 0 where that is missing.
double RatioTo(const ShapeResult& all, const Result& result, const char* name) {
  const Result* other = all.Find(name);
  return other == nullptr ? 0.0 : result.median() / other->median();
}

// The ratio to the yardstick of a layer that runs at the core's f32 peak throughout: no float
// kernel gets below.
double RatioAtPeak(const ShapeResult& all) {
  const Result* yardstick = all.Find(kYardstick);
  if (yardstick == nullptr) return 0.0;
  return all.shape.least_flops() / all.fma_peak / yardstick->median();
}

struct Stages {
  double projections, attention, output;  // seconds
};
// Output and query projections are the same product, and a call without keys is these two.
bool StagesOf(const ShapeResult& all, Stages* stages) {
  const Result* whole = all.Find(Role::kHeed);
  const Result* without_keys = all.Find(kWithoutKeys);
  const Result* attention = all.Find(kAttention);
  if (whole == nullptr || without_keys == nullptr || attention == nullptr) return false;
  stages->output = without_keys->median() / 2;
  stages->attention = attention->median();
  stages->projections = std::max(0.0, whole->median() - stages->attention - stages->output);
  return true;
}

const Result* BestPeer(const ShapeResult& all) {
  const Result* best = nullptr;
  for (const Result& result : all.results) {
    if (result.role != Role::kPeer) continue;
    if (best == nullptr || result.median() < best->median()) best = &result;
  }
  return best;
}

std::string Human(double bytes) {
  char text[32];
  const bool mega = bytes >= 1e6;
  snprintf(text, sizeof(text), "%.*f %s", mega ? 1 : 0, bytes / (mega ? 1e6 : 1e3),
           mega ? "MB" : "KB");
  return text;
}

}  // namespace

Floor FloorOf(const ShapeResult& all) {
  Floor floor;
  if (const Result* read = all.Find(Role::kRead)) floor.memory = read->median();
  if (all.one_row_rate > 0.0) floor.arithmetic = all.shape.flops() / 2 / all.one_row_rate;
  return floor;
}

Figures FiguresOf(const ShapeResult& all, const Result& result) {
  const double flops = result.role == Role::kRead ? 0.0 : all.shape.flops();
  Figures figures = {{"min_us", result.min() * 1e6},
                     {"median_us", result.median() * 1e6},
                     {"p95_us", result.Percentile(95) * 1e6},
                     {"gflops", flops / result.median() * 1e-9},
                     {"percent_of_peak", 100.0 * flops / result.median() / all.fma_peak},
                     {"peak_gflops", all.fma_peak * 1e-9},
                     {"bytes", static_cast<double>(result.bytes)},
                     {"error", result.error},
                     {"ratio", RatioTo(all, result, kYardstick)}};
  if (result.role != Role::kHeed) return figures;
  figures.push_back({"must", all.shape.is_cold() ? kColdRowMust : all.shape.must});
  figures.push_back({"aims", all.shape.aims});
  figures.push_back({"ratio_at_peak", RatioAtPeak(all)});
  Stages stages;
  if (&result == all.Find(Role::kHeed) && StagesOf(all, &stages)) {
    figures.push_back({"projections_us", stages.projections * 1e6});
    figures.push_back({"attention_us", stages.attention * 1e6});
    figures.push_back({"output_us", stages.output * 1e6});
  }
  if (all.shape.is_cold()) {
    const Floor floor = FloorOf(all);
    figures.push_back({"memory_us", floor.memory * 1e6});
    figures.push_back({"arithmetic_us", floor.arithmetic * 1e6});
    figures.push_back({"floor_ratio", result.median() / floor.seconds()});
  }
  return figures;
}

void PrintMachine(const std::vector<std::string>& targets) {
  printf("core: %s, %s\n", CpuName().c_str(), Clock().c_str());
  printf("peers: %s\n", PeerVersions().c_str());
  for (const std::string& target : targets) {
    Rate fma, dot;
    for (int i = 0; i < 20; ++i) {
      const Rate again = FmaLoop(target), dot_again = Int8DotLoop(target);
      if (again.giga() > fma.giga()) fma = again;
      if (dot_again.giga() > dot.giga()) dot = dot_again;
    }
    printf("peak of %s: %.0f GFLOP/s f32", target.c_str(), fma.giga());
    if (dot.operations > 0.0) printf(", %.0f GOP/s int8", dot.giga());
    printf("\n");
  }
  printf("reads of one thread, GB/s:");
  for (const Bandwidth& point : ReadSweep()) {
    const bool mega = point.bytes >= size_t{1} << 20;
    printf(" %zu%s %.0f", point.bytes >> (mega ? 20 : 10), mega ? "M" : "K",
           point.gigabytes_per_second);
  }
  printf("\n");
}

void PrintTable(const ShapeResult& all) {
  const Shape& s = all.shape;
  printf("\n%s: batch %u, length %u, embed_dim %u, heads %u%s; f32 peak %.0f GFLOP/s meanwhile\n",
         s.name.c_str(), s.batch, s.query_len, s.embed_dim, s.num_heads,
         s.mask == Mask::kCausal    ? ", causal"
         : s.mask == Mask::kPadding ? ", keys padded"
                                    : "",
         all.fma_peak * 1e-9);
  printf("%-14s %10s %10s %10s %8s %6s %9s %8s %8s\n", "", "min us", "median us", "p95 us",
         "GFLOP/s", "% peak", "bytes", "error", "/oneDNN");
  for (const Result& r : all.results) {
    if (r.role == Role::kStage) continue;
    const double rate = s.flops() / r.median();
    printf("%-14s %10.1f %10.1f %10.1f", r.name.c_str(), r.min() * 1e6, r.median() * 1e6,
           r.Percentile(95) * 1e6);
    if (r.role == Role::kRead) {
      printf(" %8.1f GB/s\n", static_cast<double>(r.bytes) / r.median() * 1e-9);
      continue;
    }
    printf(" %8.1f %6.1f %9s %8.1e", rate * 1e-9, 100.0 * rate / all.fma_peak,
           Human(static_cast<double>(r.bytes)).c_str(), r.error);
    const double ratio = RatioTo(all, r, kYardstick);
    if (ratio > 0.0) printf(" %8.2f", ratio);
    printf("\n");
  }
  Stages stages;
  if (StagesOf(all, &stages)) {
    printf("  stages, us: projections of q, k and v %.1f, attention %.1f, output %.1f\n",
           stages.projections * 1e6, stages.attention * 1e6, stages.output * 1e6);
  }
  const Result* heed = all.Find(Role::kHeed);
  if (heed != nullptr && s.must > 0.0) printf("  must %.2f, aims %.2f\n", s.must, s.aims);
  if (heed != nullptr && s.is_cold()) {
    const Floor floor = FloorOf(all);
    printf("  floor: memory %.1f us, arithmetic %.1f us; heed takes %.2f times it, must %.2f\n",
           floor.memory * 1e6, floor.arithmetic * 1e6, heed->median() / floor.seconds(),
           kColdRowMust);
  }
  fflush(stdout);
}

void PrintRatios(const std::vector<ShapeResult>& all) {
  std::vector<std::string> names;
  for (const ShapeResult& result : all) {
    if (result.Find(kYardstick) == nullptr) continue;
    for (const Result& r : result.results) {
      const bool is_new = std::find(names.begin(), names.end(), r.name) == names.end();
      if ((r.role == Role::kHeed || r.role == Role::kPeer) && is_new) names.push_back(r.name);
    }
  }
  if (names.empty()) return;
  printf("\nratios: median over %s's\n%-15s", kYardstick, "");
  for (const std::string& name : names) printf(" %12s", name.c_str());
  printf(" %8s %6s %6s\n", "at peak", "must", "aims");
  for (const ShapeResult& result : all) {
    if (result.Find(kYardstick) == nullptr) continue;
    printf("%-15s", result.shape.name.c_str());
    for (const std::string& name : names) {
      const Result* r = result.Find(name);
      if (r != nullptr) printf(" %12.2f", RatioTo(result, *r, kYardstick));
      if (r == nullptr) printf(" %12s", "");
    }
    printf(" %8.2f", RatioAtPeak(result));
    if (result.shape.must > 0.0) printf(" %6.2f %6.2f", result.shape.must, result.shape.aims);
    printf("\n");
  }
}

bool CheckTargets(const std::vector<ShapeResult>& all, bool avx2) {
  bool ok = true;
  const auto row = [&](const std::string& name, const std::string& what, double got, double must) {
    const bool kept = got <= must;
    ok = ok && kept;
    printf("%-15s %-28s %9.3g  must %9.3g  %s\n", name.c_str(), what.c_str(), got, must,
           kept ? "ok" : "MISSED");
  };
  printf("\ntargets\n");
  for (const ShapeResult& result : all) {
    const Shape& shape = result.shape;
    const Result* heed = result.Find(Role::kHeed);
    if (heed == nullptr) continue;
    row(shape.name, "error", heed->error, ErrorBound(shape));
    if (shape.is_cold()) {
      if (!avx2)
        row(shape.name, "time / floor", heed->median() / FloorOf(result).seconds(), kColdRowMust);
      continue;
    }
    const Result* best = BestPeer(result);
    if (best == nullptr || result.Find(kYardstick) == nullptr) {
      printf("%-15s no %s to compare with  MISSED\n", shape.name.c_str(), kYardstick);
      ok = false;
      continue;
    }
    const double to_best = heed->median() / best->median();
    row(shape.name, "time / best peer " + best->name, to_best, avx2 ? kAvx2Must : 1.0);
    if (!avx2 && shape.must > 0.0) {
      row(shape.name, "time / oneDNN", RatioTo(result, *heed, kYardstick), shape.must);
    }
  }
  printf("%s\n", ok ? "all targets kept" : "targets missed");
  return ok;
}

}  // namespace heed::bench
