// Puts of every form and target against the scalar ones, and against what lies there when each row
// is put once: any first key, any count, over old rows and after truncations inside a block.
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "lib/core/kv_store.h"
#include "lib/reference/kernels.h"
#include "lib/support/cached_numbers.h"
#include "lib/support/core_i8.h"
#include "tests/support/effort.h"
#include "tests/support/memory.h"
#include "tests/support/random.h"
#include "tests/support/tables.h"

namespace heed::test {
namespace {

using Floats = std::vector<float>;

// Forms of keys and values.
constexpr std::pair<KvForm, KvForm> kForms[] = {
    {KvForm::kRows, KvForm::kRows},             {KvForm::kF32Blocks, KvForm::kF32Blocks},
    {KvForm::kInt8Blocks, KvForm::kInt8Blocks}, {KvForm::kCacheBf16, KvForm::kCacheBf16},
    {KvForm::kCacheBytes, KvForm::kCacheBytes}, {KvForm::kCacheBf16, KvForm::kCacheBytes},
    {KvForm::kCacheF32, KvForm::kCacheF32},     {KvForm::kCacheBytes, KvForm::kCacheF32}};
constexpr KvSide kSides[] = {KvSide::kKeys, KvSide::kValues};

// Sizes of a store's three arrays.
struct StoreBytes {
  size_t keys, values, value_kind;
};

StoreBytes BytesOf(const detail::KvShape& shape) {
  detail::Parts parts;
  const detail::KvMap map = detail::TakeKv(shape, &parts);
  if (shape.key_form != KvForm::kRows) {
    return {map.keys.bytes, map.values.bytes, map.value_kind.bytes};
  }
  const size_t floats = shape.batch * shape.capacity * shape.num_kv_heads * shape.head_dim;
  return {floats * sizeof(float), floats * sizeof(float), 0};
}

// One put of a script.
struct Step {
  KvSide side;
  size_t batch, first_head, num_heads, first_key, count, stride;
  Floats rows;
};

Floats HostileRows(Random& random, size_t rows, size_t stride) {
  Floats values = BellVector(random, rows * stride);
  if (values.empty()) return values;
  const auto scale_row = [&](size_t row, float factor) {
    for (size_t c = 0; c < stride; ++c) values[row * stride + c] *= factor;
  };
  if (random.Chance(20)) scale_row(random.Below(rows), 0.0f);
  if (random.Chance(20)) scale_row(random.Below(rows), 0x1p-130f);
  if (random.Chance(20)) values[random.Below(values.size())] = 1e30f;
  if (random.Chance(15)) values[random.Below(values.size())] = __builtin_nanf("");
  if (random.Chance(15)) values[random.Below(values.size())] = -__builtin_huge_valf();
  return values;
}

Step MakeStep(const detail::KvShape& shape, Random& random, KvSide side, size_t batch,
              size_t first_head, size_t num_heads, size_t first_key, size_t count) {
  const size_t dim = side == KvSide::kKeys ? shape.head_dim : shape.value_dim;
  Step step = {side, batch, first_head, num_heads, first_key, count,
               num_heads * dim + random.Below(3), {}};
  step.rows = HostileRows(random, count, step.stride);
  return step;
}

void Put(const KvStore& store, const Step& step, Side side) {
  const Guarded<float> rows(step.rows, side);
  KvRows put;
  put.side = step.side;
  put.data = rows.data();
  put.stride = step.stride;
  put.batch = step.batch;
  put.first_head = step.first_head;
  put.num_heads = step.num_heads;
  put.first_key = step.first_key;
  put.count = step.count;
  store.Put(put);
}

// All NaNs count as equal, but the NaN scale of an integer row has other bits on each target.
void MakeNanScalesEqual(const detail::KvShape& shape, const KvView& view) {
  for (size_t b = 0; b < shape.batch; ++b) {
    for (size_t head = 0; head < shape.num_kv_heads; ++head) {
      for (size_t block = 0; block * kKeyBlock < shape.capacity; ++block) {
        const KvBlock kv = view.Block(b, head, block);
        const size_t panels = sizes::DivideUp(shape.value_dim, kPanelColumns);
        const int8_t* const keys = static_cast<const int8_t*>(kv.keys);
        const int8_t* const values = static_cast<const int8_t*>(kv.values);
        std::vector<const float*> all;
        if (shape.key_form == KvForm::kInt8Blocks) {
          all = {Int8Keys(keys, shape.head_dim).scales, Int8Values(values, panels).scales};
        }
        if (shape.key_form == KvForm::kCacheBytes) all.push_back(ByteScales(keys, shape.head_dim));
        if (shape.value_form == KvForm::kCacheBytes) {
          all.push_back(ByteScales(values, panels * kPanelColumns));
        }
        for (const float* scales : all) {
          for (size_t j = 0; j < kKeyBlock; ++j) {
            if (scales[j] != scales[j]) const_cast<float*>(scales)[j] = __builtin_nanf("");
          }
        }
      }
    }
  }
}

// Every byte of the store.
Floats RunSteps(const detail::KvShape& shape, const std::vector<Step>& steps,
                const KernelTable& table, Side side) {
  const StoreBytes bytes = BytesOf(shape);
  const Guarded<std::byte> keys(bytes.keys, side), values(bytes.values, side);
  const Guarded<std::byte> value_kind(bytes.value_kind, side);
  for (const Guarded<std::byte>* memory : {&keys, &values, &value_kind}) {
    if (memory->size() != 0) memset(memory->data(), 0xa5, memory->size());
  }
  const KvStore store(shape, table, keys.data(), values.data(), value_kind.data());
  for (const Step& step : steps) Put(store, step, side);
  MakeNanScalesEqual(shape, store.view());
  Floats written;
  for (const Guarded<std::byte>* memory : {&keys, &values, &value_kind}) {
    for (const std::byte byte : memory->Copy()) written.push_back(static_cast<float>(byte));
  }
  return written;
}

detail::KvShape RandomShape(KvForm form, KvForm value_form, Random& random) {
  detail::KvShape shape;
  shape.key_form = form;
  shape.value_form = value_form;
  shape.batch = random.Between(1, 2);
  shape.num_kv_heads = random.Between(1, 3);
  shape.head_dim = random.Between(1, random.Chance(20) ? 150 : 40);
  shape.value_dim = form == KvForm::kRows ? shape.head_dim : random.Between(1, 70);
  shape.capacity = random.Between(1, form == KvForm::kRows ? 64 : 200);
  return shape;
}

TEST_CASE("puts of any first key and count write the scalar code's bytes on every target") {
  for (const auto& forms : kForms) {
    const auto form = forms.first, value_form = forms.second;
    CAPTURE(Index(form));
    CAPTURE(Index(value_form));
    for (uint64_t seed = 1; seed <= Effort(60, 15); ++seed) {
      Random random(seed);
      const detail::KvShape shape = RandomShape(form, value_form, random);
      std::vector<Step> steps;
      // Each entry grows from 0 and is cut back now and then; both sides, groups of heads.
      for (size_t batch = 0; batch < shape.batch; ++batch) {
        size_t length = 0;
        for (int i = 0; i < 12 && length < shape.capacity; ++i) {
          if (random.Chance(25)) length = random.Between(0, length);
          const size_t count = random.Between(1, shape.capacity - length);
          const size_t head = random.Between(1, shape.num_kv_heads);
          for (const KvSide side : kSides) {
            steps.push_back(MakeStep(shape, random, side, batch, 0, head, length, count));
            if (head == shape.num_kv_heads) continue;
            steps.push_back(MakeStep(shape, random, side, batch, head, shape.num_kv_heads - head,
                                     length, count));
          }
          length += random.Chance(70) ? count : random.Between(0, count);
        }
      }
      CompareTables(seed, 0.0, [&](const KernelTable& table, Side side) {
        return RunSteps(shape, steps, table, side);
      });
    }
  }
}

// What a tile reads of the first `length` keys: numbers, scales, sums that are still to be true.
Floats Readable(const detail::KvShape& shape, const KvView& view, size_t length) {
  Floats seen;
  const auto append = [&](const auto* values, size_t count) {
    for (size_t i = 0; i < count; ++i) seen.push_back(static_cast<float>(values[i]));
  };
  const size_t panels = sizes::DivideUp(shape.value_dim, kPanelColumns);
  for (size_t head = 0; head < shape.num_kv_heads; ++head) {
    for (size_t block = 0; block * kKeyBlock < length; ++block) {
      const KvBlock kv = view.Block(0, head, block);
      const size_t keys = std::min(kKeyBlock, length - block * kKeyBlock);
      if (view.key_form == KvForm::kInt8Blocks) {
        const auto k = Int8Keys(static_cast<const int8_t*>(kv.keys), shape.head_dim);
        const auto v = Int8Values(static_cast<const int8_t*>(kv.values), panels);
        append(k.scales, keys);
        append(k.sums, keys);
        append(v.scales, keys);
        const size_t groups = sizes::DivideUp(shape.head_dim, 4);
        for (size_t j = 0; j < keys; ++j) {
          for (size_t g = 0; g < groups; ++g) {
            append(k.integers +
                       ((j / kPanelColumns * groups + g) * kPanelColumns + j % kPanelColumns) * 4,
                   4);
          }
        }
        for (size_t c = 0; c < panels * kPanelColumns; ++c) {
          const auto at = [&](size_t j) {
            return v.integers[((c / kPanelColumns * 16 + j / 4) * kPanelColumns +
                               c % kPanelColumns) * 4 + j % 4];
          };
          int32_t sum = 0;
          for (size_t j = 0; j < kKeyBlock; ++j) sum += at(j);
          CHECK(v.sums[c] == sum);  // of what lies there, whatever that is
          for (size_t j = 0; j < keys; ++j) seen.push_back(at(j));
        }
        continue;
      }
      if (view.key_form == KvForm::kRows) {
        for (size_t j = 0; j < keys; ++j) {
          append(static_cast<const float*>(kv.keys) + j * kv.row_stride, shape.head_dim);
          append(static_cast<const float*>(kv.values) + j * kv.row_stride, shape.value_dim);
        }
        continue;
      }
      for (size_t j = 0; j < keys; ++j) {
        for (size_t d = 0; d < shape.head_dim; ++d) {
          seen.push_back(KeyNumber(kv, shape.head_dim, j, d));
        }
        for (size_t d = 0; d < shape.value_dim; ++d) {
          seen.push_back(ValueNumber(kv, panels * kPanelColumns, j, d));
        }
      }
    }
  }
  return seen;
}

TEST_CASE("rows put in pieces, over others and after every truncation, read as rows put at once") {
  for (const auto& forms : kForms) {
    const auto form = forms.first, value_form = forms.second;
    CAPTURE(Index(form));
    CAPTURE(Index(value_form));
    const size_t capacity = form == KvForm::kRows ? 64 : 70;
    const size_t value_dim = form == KvForm::kRows ? 9 : 20;
    const detail::KvShape shape = {form, value_form, 1, 2, 9, value_dim, capacity};
    Random random(7);
    const Floats wanted_rows = BellVector(random, capacity * 2 * 20);
    const Floats old_rows = BellVector(random, capacity * 2 * 20);
    for (const KernelTable* const table : AllTables()) {
      CAPTURE(std::string(table->name));
      const auto run = [&](size_t cut, size_t piece) {
        const StoreBytes bytes = BytesOf(shape);
        const AlignedBytes keys(bytes.keys), values(bytes.values), flags(bytes.value_kind);
        const KvStore store(shape, *table, keys.data(), values.data(), flags.data());
        const auto put = [&](const Floats& rows, size_t first, size_t end) {
          for (const KvSide side : kSides) {
            const size_t dim = side == KvSide::kKeys ? shape.head_dim : shape.value_dim;
            KvRows put_rows;
            put_rows.side = side;
            put_rows.data = rows.data() + first * 2 * dim;
            put_rows.stride = 2 * dim;
            put_rows.num_heads = 2;
            put_rows.first_key = first;
            put_rows.count = end - first;
            store.Put(put_rows);
          }
        };
        if (cut != 0) put(wanted_rows, 0, cut);
        if (cut != capacity) put(old_rows, cut, capacity);  // then forgotten from `cut` on
        for (size_t key = cut; key < capacity; key += piece) {
          put(wanted_rows, key, std::min(capacity, key + piece));
        }
        return Readable(shape, store.view(), capacity);
      };
      const Floats at_once = run(capacity, 1);
      for (size_t cut = 0; cut < capacity; ++cut) {
        CAPTURE(cut);
        for (const size_t piece : {size_t{1}, size_t{5}, capacity}) {
          CHECK(run(cut, piece) == at_once);
        }
      }
    }
  }
}

}  // namespace
}  // namespace heed::test
