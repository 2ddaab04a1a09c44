// tests/device/selftest.cc
#include "tests/device/selftest.h"

#include "tests/device/cases.h"
#include "tests/device/checksum.h"
#include "tests/device/real_layer.h"
#include "tests/support/fma.h"

namespace heed::test {
namespace {

class Printer {
 public:
  explicit Printer(void (*put)(char)) : put_(put) {}
  Printer& operator<<(const char* text) {
    for (; *text != '\0'; ++text) put_(*text);
    return *this;
  }
  Printer& operator<<(size_t number) {
    if (number >= 10) *this << number / 10;
    put_(static_cast<char>('0' + number % 10));
    return *this;
  }
  void Hex(uint32_t number) {
    for (int shift = 28; shift >= 0; shift -= 4) put_("0123456789abcdef"[number >> shift & 15]);
  }

 private:
  void (*put_)(char);
};

// max |got - want| <= bound * max |want|; false where a number is not finite.
bool IsClose(const float* got, const float* want, size_t count, double bound) {
  double largest = 0.0, difference = 0.0;
  for (size_t i = 0; i < count; ++i) {
    const double magnitude = __builtin_fabs(static_cast<double>(want[i]));
    const double apart = __builtin_fabs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
    if (!(magnitude < __builtin_huge_val()) || !(apart < __builtin_huge_val())) return false;
    if (magnitude > largest) largest = magnitude;
    if (apart > difference) difference = apart;
  }
  return difference <= bound * largest;
}

// Runs the checks of one target and counts what came of them.
class Checker {
 public:
  Checker(const SelftestOptions& options, const char* target)
      : options_(options), print_(options.put), target_(target) {}

  // run(target options, memory) gives a CaseResult.
  template <typename Run>
  void Check(const char* name, uint32_t committed, double bound, const Run& run) {
    CaseOptions call;
    call.target = target_;
    call.flip_a_bit = options_.flip_a_bit;
    MutableBytes memory = options_.memory;
    CaseResult wanted;  // of the reference, where the target has no fused multiply-add
    if (!HasFma(target_)) {
      const size_t half = memory.size / 2 / sizes::kAlignment * sizes::kAlignment;
      CaseOptions reference;
      reference.target = kReference;
      wanted = run(reference, MutableBytes(memory.data, half));
      memory = MutableBytes(memory.data + half, memory.size - half);
    }
    const CaseResult got = run(call, memory);
    if (got.status.code == StatusCode::kUnsupported) {
      ++skipped_;
      print_ << target_ << "  " << name << ": skipped, this library was built without it\n";
      return;
    }
    if (!got.status.ok()) return Refused(name, got.status);
    if (got.values == nullptr) {
      ++skipped_;
      print_ << target_ << "  " << name << ": skipped, more than " << memory.size << " bytes\n";
      return;
    }
    const uint32_t checksum = Checksum(got.values, got.count);
    const bool good = HasFma(target_) ? checksum == committed
                                      : wanted.values != nullptr &&
                                            IsClose(got.values, wanted.values, got.count, bound);
    if (good) {
      ++passed_;
      return;
    }
    ++failed_;
    print_ << target_ << "  " << name << ": FAILED, expected ";
    print_.Hex(committed);
    print_ << ", got ";
    print_.Hex(checksum);
    print_ << "\n";
  }

  bool Report() {
    print_ << target_ << "  " << (HasFma(target_) ? "bits equal: " : "within bounds: ") << passed_
           << " passed, " << failed_ << " failed, " << skipped_ << " skipped\n";
    return failed_ == 0 && passed_ != 0;
  }

 private:
  void Refused(const char* name, const Status& status) {
    char sentence[160];
    FormatStatus(status, sentence, sizeof(sentence));
    ++failed_;
    print_ << target_ << "  " << name << ": FAILED, " << sentence << "\n";
  }

  const SelftestOptions& options_;
  Printer print_;
  const char* target_;
  size_t passed_ = 0, failed_ = 0, skipped_ = 0;
};

bool TestTarget(const SelftestOptions& options, const char* target) {
  Checker checker(options, target);
  for (size_t i = 0; i < kSameBitsCases.count; ++i) {
    const SameBitsCase& c = kSameBitsCases.cases[i];
    checker.Check(c.name, kCommitted[i].output, BoundWithoutFma(c),
                  [&c](const CaseOptions& call, MutableBytes memory) {
                    return RunCase(c, call, memory);
                  });
  }
  checker.Check("PP-OCRv4 layer 0, packed", kRealLayerChecksum, BoundWithoutFma({}),
                RunRealLayer);
  SameBitsCase int8;
  int8.config.weights = WeightType::kInt8;
  int8.config.core = CoreType::kInt8;
  checker.Check("PP-OCRv4 layer 0, all int8", kInt8LayerChecksum, BoundWithoutFma(int8),
                RunInt8Layer);
  return checker.Report();
}

}  // namespace

bool Selftest(const SelftestOptions& options) {
  bool good = TestTarget(options, kReference);
  for (size_t i = 0; i < TargetCount(); ++i) good = TestTarget(options, TargetName(i)) && good;
  return good;
}

}  // namespace heed::test
