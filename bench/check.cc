// bench/check.cc
#include "bench/check.h"

#include <cstdio>

#include "bench/floor.h"
#include "bench/report.h"

namespace heed::bench {
namespace {

class Checker {
 public:
  explicit Checker(bool avx2) : avx2_(avx2) {}
  bool ok() const { return ok_; }

  void Check(const ShapeResult& all, const Result& heed) {
    Row(all, heed, "error", heed.error.of(heed.types), ErrorBound(all.shape, heed.types));
    if (all.shape.is_cold()) {
      const Floor floor = FloorOf(all, heed.types);
      const std::string what = std::string("time / floor (") + floor.binds() + ")";
      if (!avx2_) Row(all, heed, what, heed.median() / floor.seconds(), kColdRowMust);
      const Result* best = all.shape.is_step() ? BestPeer(all, heed.types) : nullptr;
      if (best != nullptr) RowOfPeer(all, heed, *best, 1.0);
      return;
    }
    if (all.shape.hides_nothing()) {
      Row(all, heed, "time / the same without the mask", RatioTo(all, heed, heed.name + kUnmasked),
          UnmaskedMust(all.shape.mask));
      return;
    }
    if (!heed.types.is_f32() && (avx2_ || !(heed.types == kInt8Types))) return;
    const Result* best = BestPeer(all, heed.types);
    if (best == nullptr || all.Find(kYardstick) == nullptr) {
      printf("%-15s no %s to compare with  MISSED\n", all.shape.name.c_str(), kYardstick);
      ok_ = false;
      return;
    }
    RowOfPeer(all, heed, *best, avx2_ ? kAvx2Must : 1.0);
    const Goal goal = all.shape.goal(heed.types);
    if (goal.must > 0.0) Row(all, heed, "time / oneDNN", RatioTo(all, heed, kYardstick), goal.must);
  }

 private:
  void RowOfPeer(const ShapeResult& all, const Result& heed, const Result& peer, double must) {
    Row(all, heed, "time / " + peer.name + ", the best peer", heed.median() / peer.median(), must);
  }
  void Row(const ShapeResult& all, const Result& heed, const std::string& what, double got,
           double must) {
    const bool kept = got <= must;
    ok_ = ok_ && kept;
    printf("%-15s %-16s %-37s %9.4g  must %9.4g  %s\n", all.shape.name.c_str(), heed.name.c_str(),
           what.c_str(), got, must, kept ? "ok" : "MISSED");
  }

  bool avx2_;
  bool ok_ = true;
};

}  // namespace

bool CheckGoals(const std::vector<ShapeResult>& all, bool avx2) {
  printf("\ngoals\n");
  Checker checker(avx2);
  for (const ShapeResult& result : all) {
    for (const Types& types : HeedTypes(result.shape)) {
      const Result* heed = result.Find(Role::kHeed, types);
      if (heed != nullptr) checker.Check(result, *heed);
    }
  }
  printf("%s\n", checker.ok() ? "all goals kept" : "goals missed");
  return checker.ok();
}

}  // namespace heed::bench
