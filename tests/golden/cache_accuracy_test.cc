// tests/golden/cache_accuracy_test.cc: the error of caches of bf16 and int8 on trained layers with
// real inputs from HEED_SHARED_DATA_DIR, every row causal: ||y - y_f32|| / ||y_f32||, where y_f32
// comes from an f32 cache. It is compared with the error that the same rounding makes in double
// (int8: one scale, absmax / 127, for each token and head, after rotation). Where HEED_CACHE_TABLE
// names a file, the table is written to it (`make accuracy`).
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/oracle/oracle.h"
#include "tests/support/npy.h"
#include "tests/support/real_layers.h"
#include "tests/support/relative_norm.h"
#include "tests/support/stream.h"

namespace heed::test {
namespace {

constexpr double kBound = 1.05;  // times the error in double

struct Column {
  const char* name;
  CacheType keys, values;
};
constexpr CacheType kF32 = CacheType::kF32, kBf16 = CacheType::kBf16, kInt8 = CacheType::kInt8;
constexpr Column kColumns[] = {{"bf16", kBf16, kBf16},       {"bf16 keys", kBf16, kF32},
                               {"bf16 values", kF32, kBf16}, {"int8", kInt8, kInt8},
                               {"int8 keys", kInt8, kF32},   {"int8 values", kF32, kInt8}};
constexpr size_t kNumColumns = sizeof(kColumns) / sizeof(kColumns[0]);

struct Row {
  std::string layer;
  double errors[kNumColumns] = {}, in_double[kNumColumns] = {};
};

std::vector<float> Run(const RealLayer& real, CacheType keys, CacheType values) {
  Stream stream;
  stream.layer = real.layer;
  stream.batch = real.batch;
  stream.len = real.len;
  stream.x = real.x;
  CacheLimits limits = CacheLimitsFor(stream);
  limits.type = keys;
  limits.value_type = values;
  Feeder feeder(stream, limits);
  feeder.Step(std::vector<size_t>(real.batch, real.len));
  return feeder.outputs().output;
}

std::vector<double> InDouble(const RealLayer& real, CacheType keys, CacheType values) {
  ForwardArgs args = real.args();
  args.causal = true;
  oracle::Rounding rounding;
  rounding.key = keys;
  rounding.value = values;
  return oracle::Layer(real.layer.config, real.layer.tensors(), args, rounding).output;
}

Row Measure(const RealModel& model, size_t index) {
  const RealLayer real = LoadRealLayer(model, index);
  Row row;
  row.layer = std::string(model.name) + " " + std::to_string(index);
  const std::vector<float> f32 = Run(real, kF32, kF32);
  const std::vector<double> y_f32(f32.begin(), f32.end()), exact = InDouble(real, kF32, kF32);
  for (size_t i = 0; i < kNumColumns; ++i) {
    const Column& column = kColumns[i];
    row.errors[i] = RelativeNorm(Run(real, column.keys, column.values), y_f32);
    row.in_double[i] = RelativeNorm(InDouble(real, column.keys, column.values), exact);
  }
  return row;
}

std::string Percent(double error) {
  char text[32];
  snprintf(text, sizeof(text), "%.3g %%", 100.0 * error);
  return text;
}

bool HasColumnInDouble(size_t column) { return kColumns[column].keys == kColumns[column].values; }

std::string TableOf(const std::vector<Row>& rows) {
  std::ostringstream table;
  table << "| layer |";
  std::string line = "\n|---|";
  for (size_t i = 0; i < kNumColumns; ++i) {
    table << " " << kColumns[i].name << " |";
    line += "---|";
    if (!HasColumnInDouble(i)) continue;
    table << " " << kColumns[i].name << " in double |";
    line += "---|";
  }
  table << line;
  for (const Row& row : rows) {
    table << "\n| " << row.layer << " |";
    for (size_t i = 0; i < kNumColumns; ++i) {
      table << " " << Percent(row.errors[i]) << " |";
      if (HasColumnInDouble(i)) table << " " << Percent(row.in_double[i]) << " |";
    }
  }
  table << "\n";
  return table.str();
}

TEST_CASE("caches of real layers lose at most 1.05 times what their rounding loses in double") {
  std::vector<Row> rows;
  for (const RealModel& model : kRealModels) {
    if (!FileExists(FolderOf(model, 0) + "/x.npy")) {
      MESSAGE("skipped: no ", FolderOf(model, 0));
      return;
    }
    for (size_t index = 0; index < model.num_layers; ++index) rows.push_back(Measure(model, index));
  }
  const std::string table = TableOf(rows);
  MESSAGE("\n", table);
  for (const Row& row : rows) {
    for (size_t i = 0; i < kNumColumns; ++i) {
      CHECK_MESSAGE(row.errors[i] <= kBound * row.in_double[i], row.layer, ", ",
                    std::string(kColumns[i].name), ": ", row.errors[i], " against ",
                    row.in_double[i]);
    }
  }
  const char* const path = std::getenv("HEED_CACHE_TABLE");
  if (path == nullptr) return;
  FILE* const out = fopen(path, "w");
  REQUIRE(out != nullptr);
  CHECK(fputs(table.c_str(), out) >= 0);
  CHECK(fclose(out) == 0);
}

}  // namespace
}  // namespace heed::test
