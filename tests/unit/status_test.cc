// tests/unit/status_test.cc: the text of a Status, cut to any buffer.
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "heed/status.h"
#include "lib/support/bits.h"
#include "tests/support/effort.h"
#include "tests/support/memory.h"
#include "tests/support/random.h"

namespace heed::test {
namespace {

Status Example() {
  Status status;
  status.code = StatusCode::kBadConfig;
  status.argument = "config.num_kv_heads";
  status.expectation = "a divisor of num_heads =";
  status.expected_form = status.actual_form = NumberForm::kUnsigned;
  status.expected = 8;
  status.actual = 3;
  return status;
}

constexpr char kExample[] =
    "bad config: config.num_kv_heads: expected a divisor of num_heads = 8, got 3";

// A number as a sentence shows it.
std::string Shown(NumberForm form, int64_t number) {
  Status status;
  status.code = StatusCode::kBadValue;
  status.actual_form = form;
  status.actual = number;
  char text[128];
  FormatStatus(status, text, sizeof(text));
  return std::string(text).substr(strlen("bad value, got "));
}

std::string Shown(float number) { return Shown(NumberForm::kFloat, BitsOf(number)); }

TEST_CASE("a status reads as the sentence that the header shows") {
  char text[128];
  CHECK(FormatStatus(Example(), text, sizeof(text)) == strlen(kExample));
  CHECK(std::string(text) == kExample);
}

TEST_CASE("a sentence is cut to any buffer, ends in NUL, and tells its whole length") {
  const std::string sentence = kExample;
  for (size_t size = 0; size <= sentence.size() + 2; ++size) {
    CAPTURE(size);
    const Guarded<char> buffer(size, Side::kRight);
    CHECK(FormatStatus(Example(), buffer.data(), size) == sentence.size());
    if (size > 0) CHECK(buffer.data() == sentence.substr(0, size - 1));
  }
  CHECK(FormatStatus(Example(), nullptr, 0) == sentence.size());
}

TEST_CASE("integers print over their whole range, with their sign or without one") {
  CHECK(Shown(NumberForm::kSigned, INT64_MIN) == "-9223372036854775808");
  CHECK(Shown(NumberForm::kSigned, INT64_MAX) == "9223372036854775807");
  CHECK(Shown(NumberForm::kSigned, -1) == "-1");
  CHECK(Shown(NumberForm::kUnsigned, -1) == "18446744073709551615");
  CHECK(Shown(NumberForm::kUnsigned, 0) == "0");
}

TEST_CASE("checksums, characters, truth values and types print as what they are") {
  CHECK(Shown(NumberForm::kHex, 0x0badcafe) == "0x0badcafe");
  CHECK(Shown(NumberForm::kHex, 0) == "0x00000000");
  CHECK(Shown(NumberForm::kHex, -2) == "0xfffffffffffffffe");
  CHECK(Shown(NumberForm::kCharacters, 0x44454548) == "'HEED'");
  CHECK(Shown(NumberForm::kCharacters, 0x474e5089) == "'\\x89PNG'");
  CHECK(Shown(NumberForm::kCharacters, 0x1b275c7f) == "'\\x7f\\x5c\\x27\\x1b'");
  CHECK(Shown(NumberForm::kBool, 0) == "false");
  CHECK(Shown(NumberForm::kBool, 1) == "true");
  CHECK(Shown(NumberForm::kWeights, 3) == "int4");
  CHECK(Shown(NumberForm::kWeights, 4) == "4");
  CHECK(Shown(NumberForm::kCore, 1) == "int8");
  CHECK(Shown(NumberForm::kCore, -1) == "18446744073709551615");
  CHECK(Shown(static_cast<NumberForm>(77), 5) == "5");
}

TEST_CASE("floats print with the fewest digits that read back") {
  CHECK(Shown(0.0f) == "0");
  CHECK(Shown(-0.0f) == "-0");
  CHECK(Shown(-0.75f) == "-0.75");
  CHECK(Shown(0.1f) == "0.1");
  CHECK(Shown(16777216.0f) == "16777216");
  CHECK(Shown(123456792.0f) == "123456790");
  CHECK(Shown(1e9f) == "1e9");
  CHECK(Shown(1.5e-5f) == "0.000015");
  CHECK(Shown(1e-30f) == "1e-30");
  CHECK(Shown(-1.25e-6f) == "-1.25e-6");
  CHECK(Shown(std::numeric_limits<float>::max()) == "3.4028235e38");
  CHECK(Shown(std::numeric_limits<float>::min()) == "1.1754944e-38");
  CHECK(Shown(std::numeric_limits<float>::denorm_min()) == "1e-45");
  CHECK(Shown(std::numeric_limits<float>::infinity()) == "inf");
  CHECK(Shown(-std::numeric_limits<float>::infinity()) == "-inf");
  CHECK(Shown(std::numeric_limits<float>::quiet_NaN()) == "nan");
  CHECK(Shown(FloatOf(0xffc00000u)) == "nan");
}

// The digits of a printed number, without point, exponent and zeros at its ends.
std::string DigitsOf(const std::string& text) {
  std::string digits;
  for (const char c : text.substr(0, text.find('e'))) {
    if (c >= '0' && c <= '9' && (c != '0' || !digits.empty())) digits += c;
  }
  while (!digits.empty() && digits.back() == '0') digits.pop_back();
  return digits;
}

TEST_CASE("floats of every exponent read back, with no more digits than the standard library") {
  Random random(77);
  const size_t per_exponent = Effort(500, 50);
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (size_t i = 0; i < per_exponent; ++i) {
      // Powers of two, their neighbours, then any.
      const uint32_t mantissa = i < 3   ? static_cast<uint32_t>(i)
                                : i < 6 ? 0x7fffffu - static_cast<uint32_t>(i - 3)
                                        : static_cast<uint32_t>(random.Next()) & 0x7fffffu;
      const float number = FloatOf(exponent << 23 | mantissa);
      const std::string text = Shown(number);
      CAPTURE(text);
      CHECK(BitsOf(std::strtof(text.c_str(), nullptr)) == BitsOf(number));
      char shortest[32];
      const auto end = std::to_chars(shortest, shortest + sizeof(shortest), number).ptr;
      const std::string wanted = DigitsOf(std::string(shortest, end));
      // Below a power of two, where floats are denser, a digit more may be needed.
      CHECK(DigitsOf(text).size() <= (mantissa == 0 && exponent > 1 ? 9 : wanted.size()));
    }
  }
}

TEST_CASE("a number that the status does not have is not told") {
  Status status = Example();
  status.expected_form = NumberForm::kNone;
  char text[128];
  FormatStatus(status, text, sizeof(text));
  CHECK(std::string(text) ==
        "bad config: config.num_kv_heads: expected a divisor of num_heads =, got 3");
  status.actual_form = NumberForm::kNone;
  FormatStatus(status, text, sizeof(text));
  CHECK(std::string(text) == "bad config: config.num_kv_heads: expected a divisor of num_heads =");
  status.expectation = nullptr;
  status.expected_form = NumberForm::kSigned;
  FormatStatus(status, text, sizeof(text));
  CHECK(std::string(text) == "bad config: config.num_kv_heads: expected 8");
}

TEST_CASE("an ok status, and one without words, have text too") {
  char text[128];
  CHECK(FormatStatus(Status(), text, sizeof(text)) == 2);
  CHECK(std::string(text) == "ok");
  Status bare;
  bare.code = StatusCode::kInternal;
  const size_t length = FormatStatus(bare, text, sizeof(text));
  CHECK(std::string(text) == StatusCodeName(StatusCode::kInternal));
  CHECK(length == strlen(text));
}

TEST_CASE("every code has a name of its own, and any other number is an unknown status") {
  std::set<std::string> names;
  const int known[] = {0, 1, 2, 3, 10, 11, 12, 13, 14, 20, 30, 31, 32, 33, 34, 40, 41, 42, 43, 50};
  for (int code : known) names.insert(StatusCodeName(static_cast<StatusCode>(code)));
  CHECK(names.size() == sizeof(known) / sizeof(known[0]));
  CHECK(names.count("unknown status") == 0);
  for (int code : {-1, 4, 15, 51, 1 << 30}) {
    CHECK(std::string(StatusCodeName(static_cast<StatusCode>(code))) == "unknown status");
  }
}

}  // namespace
}  // namespace heed::test
