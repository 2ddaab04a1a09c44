// tests/unit/status_test.cc: the text of a Status, cut to any buffer.
#include <cstring>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "heed/status.h"
#include "tests/support/memory.h"

namespace heed::test {
namespace {

Status Example() {
  Status status;
  status.code = StatusCode::kBadShape;
  status.argument = "key";
  status.expectation = "last dimension";
  status.expected = 64;
  status.actual = 60;
  return status;
}

TEST_CASE("a status reads as the sentence that the header shows") {
  char text[128];
  const std::string sentence = "bad shape: key: last dimension: expected 64, got 60";
  CHECK(FormatStatus(Example(), text, sizeof(text)) == sentence.size());
  CHECK(text == sentence);
}

TEST_CASE("a sentence is cut to any buffer, ends in NUL, and tells its whole length") {
  const std::string sentence = "bad shape: key: last dimension: expected 64, got 60";
  for (size_t size = 0; size <= sentence.size() + 2; ++size) {
    CAPTURE(size);
    const Guarded<char> buffer(size, Side::kRight);
    CHECK(FormatStatus(Example(), buffer.data(), size) == sentence.size());
    if (size > 0) CHECK(buffer.data() == sentence.substr(0, size - 1));
  }
  CHECK(FormatStatus(Example(), nullptr, 0) == sentence.size());
}

TEST_CASE("numbers print over the whole range of int64") {
  Status status = Example();
  status.expected = INT64_MIN;
  status.actual = INT64_MAX;
  char text[128];
  FormatStatus(status, text, sizeof(text));
  CHECK(strstr(text, "expected -9223372036854775808, got 9223372036854775807") != nullptr);
}

TEST_CASE("a null pointer and an overlap are told without numbers") {
  for (StatusCode code : {StatusCode::kNullPointer, StatusCode::kOverlap}) {
    Status status = Example();
    status.code = code;
    char text[128];
    FormatStatus(status, text, sizeof(text));
    CHECK(strstr(text, "expected") == nullptr);
    CHECK(strstr(text, "key") != nullptr);
  }
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
