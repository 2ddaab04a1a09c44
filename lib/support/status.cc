// lib/support/status.cc: the text of a Status, without printf.
#include "heed/status.h"

#include "heed/detail/weight_formats.h"
#include "lib/support/fail.h"

namespace heed {
namespace {

// A finite number above 0 as nine digits before the point: scaled * 2^-34 * 10^power.
struct NineDigits {
  uint64_t scaled;
  int power;
};
constexpr int kFractionBits = 34;
constexpr uint64_t kLowest = uint64_t{100000000} << kFractionBits;
constexpr uint64_t kHighest = 10 * kLowest - 1;

// mantissa * 2^exponent. At most 46 steps have an error of 2^-60 each.
NineDigits NineDigitsOf(uint64_t mantissa, int exponent) {
  for (int power = 0;;) {
    for (; mantissa >> 63 == 0; --exponent) mantissa <<= 1;
    const int shift = -kFractionBits - exponent;
    if (shift < 0 || (shift == 0 && mantissa > kHighest)) {
      mantissa /= 10;
      ++power;
    } else if (shift > 3 || mantissa >> shift < kLowest) {
      mantissa = (mantissa >> 4) * 10;
      exponent += 4;
      --power;
    } else {
      return {mantissa >> shift, power};
    }
  }
}

// Appends to a buffer of fixed size. When it is full, the writer goes on counting.
class Writer {
 public:
  Writer(char* buffer, size_t size) : buffer_(buffer), size_(buffer == nullptr ? 0 : size) {}

  void Char(char c) {
    if (length_ + 1 < size_) buffer_[length_] = c;
    ++length_;
  }
  void Text(const char* text) {
    for (; text != nullptr && *text != '\0'; ++text) Char(*text);
  }
  void Number(uint64_t value, NumberForm form) {
    if (form == NumberForm::kFloat) return Float(static_cast<uint32_t>(value));
    if (form == NumberForm::kHex) {
      Text("0x");
      return Hex(value, value >> 32 != 0 ? 16 : 8);
    }
    if (form == NumberForm::kCharacters) return Characters(static_cast<uint32_t>(value));
    if (form == NumberForm::kBool) return Text(value != 0 ? "true" : "false");
    if (form == NumberForm::kWeights && value < detail::kNumWeightTypes) {
      return Text(detail::kWeightFormats[value].name);
    }
    if (form == NumberForm::kCore && value < 2) return Text(value == 0 ? "f32" : "int8");
    if (form == NumberForm::kSigned && value >> 63 != 0) {
      Char('-');
      value = 0 - value;
    }
    Decimal(value, 0);
  }
  size_t Finish() {
    if (size_ > 0) buffer_[length_ < size_ ? length_ : size_ - 1] = '\0';
    return length_;
  }

 private:
  // value * 10^power, with all digits.
  void Decimal(uint64_t value, int power) {
    char digits[20];
    int count = 0;
    do {
      digits[count++] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    const int whole = count + power;  // digits before the point
    for (int i = whole < 1 ? whole - 1 : 0; i < count || i < whole; ++i) {
      if (i == whole) Char('.');
      Char(i >= 0 && i < count ? digits[count - 1 - i] : '0');
    }
  }

  // The fewest digits that read back: those of the multiple of the largest power of ten that lies
  // less than half a step between floats away.
  void Float(uint32_t bits) {
    constexpr uint32_t kOne = uint32_t{1} << 23;
    const uint32_t exponent = bits >> 23 & 0xff;
    uint32_t mantissa = bits & (kOne - 1);
    if (exponent == 0xff && mantissa != 0) return Text("nan");
    if (bits >> 31 != 0) Char('-');
    if (exponent == 0xff) return Text("inf");
    if (exponent != 0) mantissa += kOne;
    if (mantissa == 0) return Char('0');
    const NineDigits number =
        NineDigitsOf(mantissa, static_cast<int>(exponent == 0 ? 1 : exponent) - 150);
    // Below a power of two, floats are twice as dense. The distance must be a little less than half
    // a step, as `scaled` is not exact, and a number halfway may read as the neighbour.
    uint64_t half_step = number.scaled / mantissa / (mantissa == kOne && exponent > 1 ? 4 : 2);
    half_step -= half_step >> 20;
    int power = number.power + 8;
    uint64_t digits = 0;
    for (uint64_t unit = kLowest;; unit /= 10, --power) {
      digits = (number.scaled + unit / 2) / unit;
      const uint64_t nearest = digits * unit;
      const uint64_t distance =
          nearest < number.scaled ? number.scaled - nearest : nearest - number.scaled;
      if (distance < half_step || unit <= kLowest / 100000000) break;
    }
    for (; digits % 10 == 0; ++power) digits /= 10;
    int count = 0;
    for (uint64_t rest = digits; rest != 0; rest /= 10) ++count;
    const int leading = count + power - 1;  // the power of ten of the first digit
    if (-5 <= leading && leading < 9) return Decimal(digits, power);
    Decimal(digits, 1 - count);
    Char('e');
    Number(static_cast<uint64_t>(int64_t{leading}), NumberForm::kSigned);
  }

  void Hex(uint64_t value, int count) {
    while (count-- > 0) Char("0123456789abcdef"[value >> 4 * count & 15]);
  }

  void Characters(uint32_t word) {
    Char('\'');
    for (int i = 0; i < 4; ++i, word >>= 8) {
      const uint32_t c = word & 0xff;
      const bool is_plain = c >= ' ' && c < 0x7f && c != '\'' && c != '\\';
      if (is_plain) {
        Char(static_cast<char>(c));
      } else {
        Text("\\x");
        Hex(c, 2);
      }
    }
    Char('\'');
  }

  char* buffer_;
  size_t size_;
  size_t length_ = 0;
};

}  // namespace

Status MakeStatus(uint64_t head, const char* argument, const char* expectation, int64_t expected,
                  int64_t actual) {
  Status status;
  status.code = static_cast<StatusCode>(head & 0xffffffff);
  status.expected_form = static_cast<NumberForm>(head >> 32 & 0xffff);
  status.actual_form = static_cast<NumberForm>(head >> 48);
  status.argument = argument;
  status.expectation = expectation;
  status.expected = expected;
  status.actual = actual;
  return status;
}

const char* StatusCodeName(StatusCode code) {
  switch (code) {
    case StatusCode::kOk: return "ok";
    case StatusCode::kNullPointer: return "null pointer";
    case StatusCode::kBadConfig: return "bad config";
    case StatusCode::kBadValue: return "bad value";
    case StatusCode::kBadShape: return "bad shape";
    case StatusCode::kBadMask: return "bad mask";
    case StatusCode::kOverlap: return "overlap";
    case StatusCode::kMisaligned: return "misaligned";
    case StatusCode::kOverLimit: return "over limit";
    case StatusCode::kBlockTooSmall: return "block too small";
    case StatusCode::kStalePlan: return "stale plan";
    case StatusCode::kBusy: return "busy";
    case StatusCode::kCacheFull: return "cache full";
    case StatusCode::kOverwritten: return "overwritten";
    case StatusCode::kBadMagic: return "not a heed file";
    case StatusCode::kBadVersion: return "bad version";
    case StatusCode::kBadChecksum: return "bad checksum";
    case StatusCode::kBadHeader: return "bad header";
    case StatusCode::kConfigMismatch: return "config mismatch";
    case StatusCode::kBadPayload: return "bad payload";
    case StatusCode::kUnknownTarget: return "unknown target";
    case StatusCode::kUnsupported: return "unsupported";
    case StatusCode::kBackendFailed: return "backend failed";
    case StatusCode::kBadBuild: return "bad build";
    case StatusCode::kInternal: return "internal error";
  }
  return "unknown status";
}

size_t FormatStatus(const Status& status, char* buffer, size_t size) {
  Writer writer(buffer, size);
  writer.Text(StatusCodeName(status.code));
  if (status.argument != nullptr) {
    writer.Text(": ");
    writer.Text(status.argument);
  }
  const char* separator = ": expected ";
  if (status.expectation != nullptr) {
    writer.Text(separator);
    writer.Text(status.expectation);
    separator = " ";
  }
  if (status.expected_form != NumberForm::kNone) {
    writer.Text(separator);
    writer.Number(static_cast<uint64_t>(status.expected), status.expected_form);
  }
  if (status.actual_form != NumberForm::kNone) {
    writer.Text(", got ");
    writer.Number(static_cast<uint64_t>(status.actual), status.actual_form);
  }
  return writer.Finish();
}

}  // namespace heed
