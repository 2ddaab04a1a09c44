// lib/kernels/few_rows.cc: walks the rows and vectors of products that few_rows-inl.h sums.
#include "lib/kernels/ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/kernels/few_rows.cc"
#include "hwy/foreach_target.h"  // re-includes this file; stays before highway.h
#include "hwy/highway.h"

#if HEED_IS_VECTOR_TARGET
#include "lib/kernels/few_rows-inl.h"
#include "lib/kernels/row_groups-inl.h"
#endif

#if HEED_HAS_FLOAT_KERNELS
HWY_BEFORE_NAMESPACE();
namespace heed::HWY_NAMESPACE {
namespace {

// Up to so many rows of bytes go one by one: four at once take as long as two.
constexpr size_t kSingleRows = 2;

struct Product {
  const float* a;  // [rows][depth], rows a_stride apart
  size_t a_stride;
  const void* b;  // as in FewRowsTile; panels b_panel_stride numbers apart
  size_t b_panel_stride;
  size_t k_stride;
  const float* scales;
  size_t next_block;  // bytes
  size_t depth;
  size_t columns;  // a multiple of 16
  uint64_t visible = ~uint64_t{0};
  // Null, or [rows]: the result is output * factor + the sum. Then depth is at most 256.
  const float* factors = nullptr;
  float* out;  // [rows][columns], rows out_stride apart
  size_t out_stride;
};

// Adds the chains [rows][vectors] of columns from `column` on to rows from `row` on, or stores
// them.
HWY_INLINE void AddChains(const Product& product, size_t row, size_t rows, size_t column,
                          size_t vectors, bool adds, const float* HWY_RESTRICT chains) {
  const TileTag d;
  const size_t lanes = hn::Lanes(d);
  const size_t columns = Min(vectors * lanes, product.columns - column);
  for (size_t r = row; r < row + rows; ++r, chains += vectors * lanes) {
    const auto factor = hn::Set(d, product.factors == nullptr ? 1.0f : product.factors[r]);
    float* HWY_RESTRICT out = product.out + r * product.out_stride + column;
    for (size_t c = 0; c < columns; c += lanes) {
      auto sum = hn::LoadU(d, chains + c);
      if (adds) sum = hn::MulAdd(hn::LoadU(d, out + c), factor, sum);
      hn::StoreU(sum, d, out + c);
    }
  }
}

// Vectors outside, so that numbers come from memory once. Panels after the last one and rows after
// the last row repeat it.
void Multiply(const Product& product, size_t rows, const FewRowsForm& form) {
  const size_t lanes = hn::Lanes(TileTag());
  const bool singly = form.sum_four == nullptr || rows <= kSingleRows;
  const size_t vectors = singly ? kFewGroups * 4 : kFewVectors;
  const size_t most = singly ? 1 : kFewRows;
  HWY_ALIGN float chains[Max(kFewGroups * 4, kFewRows * kFewVectors) * 16];
  FewRowsTile tile;
  tile.b = product.b;
  tile.k_stride = product.k_stride;
  tile.scales = product.scales;
  tile.visible = product.visible;
  tile.next_block = product.next_block;
  for (size_t c = 0; c < product.columns; c += vectors * lanes) {
    for (size_t v = 0; v < vectors; ++v) {
      size_t column = c + v * lanes;
      if (column >= product.columns) {
        column = product.columns - kPanelColumns + column % kPanelColumns;
      }
      tile.columns[v] = column;
      tile.offsets[v] =
          column / kPanelColumns * product.b_panel_stride + column % kPanelColumns;
    }
    for (size_t row = 0; row < rows; row += most) {
      const size_t count = Min(most, rows - row);
      for (size_t r = 0; r < most; ++r) {
        tile.a[r] = product.a + (row + Min(r, count - 1)) * product.a_stride;
      }
      for (size_t k = 0; k < product.depth; k += kDepthBlock) {
        tile.begin = k;
        tile.end = Min(k + kDepthBlock, product.depth);
        (singly ? form.sum_one : form.sum_four)(tile, chains);
        const bool adds = product.factors != nullptr || k != 0;
        AddChains(product, row, count, c, vectors, adds, chains);
      }
    }
  }
}

// Calls body(row, rows, range) for `few` rows at a time and the keys that they see; for all rows at
// once where they see all keys.
template <class Body>
HWY_INLINE void ForRowGroups(const TileArgs& tile, size_t few, const Body& body) {
  if (tile.visible == nullptr) few = tile.rows;
  for (size_t row = 0; row < tile.rows; row += few) {
    const size_t rows = Min(few, tile.rows - row);
    const KeyRange range =
        tile.visible == nullptr ? KeyRange{0, tile.num_keys} : RangeOf(tile, row, rows);
    if (range.begin < range.end) body(row, rows, range);
  }
}

HWY_INLINE const void* NumberAt(const void* block, size_t index, const FewRowsForm& form) {
  return static_cast<const uint8_t*>(block) + index * form.number_bytes;
}

}  // namespace

void DotKeysOfFewRows(const TileArgs& tile, const FewRowsForm& form) {
  ForRowGroups(tile, kFewRows, [&](size_t row, size_t rows, KeyRange range) {
    const size_t begin = range.begin / kPanelColumns * kPanelColumns;
    const void* const end = NumberAt(tile.kv.keys, kKeyBlock * tile.head_dim, form);
    Product product;
    product.a = tile.query + row * tile.query_stride;
    product.a_stride = tile.query_stride;
    product.b = NumberAt(tile.kv.keys, form.has_panels ? begin * tile.head_dim : begin, form);
    product.b_panel_stride = form.has_panels ? tile.head_dim * kPanelColumns : kPanelColumns;
    product.k_stride = form.has_panels ? kPanelColumns : kKeyBlock;
    product.scales = static_cast<const float*>(end) + begin;
    product.next_block = sizes::KeyBlockBytes(tile.kv.key_form, tile.head_dim);
    product.depth = tile.head_dim;
    product.columns = sizes::RoundUp(range.end, kPanelColumns) - begin;
    product.out = tile.scores + row * kKeyBlock + begin;
    product.out_stride = kKeyBlock;
    Multiply(product, rows, form);
  });
}

void AddValuesOfFewRows(const TileArgs& tile, const FewRowsForm& form) {
  // 0 times a hidden NaN would be NaN: then each row reads the values alone that it sees.
  const bool alone = tile.visible != nullptr && tile.kv.value_kind == kNonFiniteValues;
  ForRowGroups(tile, alone ? 1 : kFewRows, [&](size_t row, size_t rows, KeyRange range) {
    Product product;
    product.columns = tile.value_panels * kPanelColumns;
    const void* const end = NumberAt(tile.kv.values, kKeyBlock * product.columns, form);
    product.a = tile.scores + row * kKeyBlock + range.begin;
    product.a_stride = kKeyBlock;
    product.k_stride = form.has_panels ? kPanelColumns : product.columns;
    product.b = NumberAt(tile.kv.values, range.begin * product.k_stride, form);
    product.b_panel_stride = form.has_panels ? tile.kv.value_panel_stride : kPanelColumns;
    product.scales = static_cast<const float*>(end) + range.begin;
    product.next_block = sizes::ValueBlockBytes(tile.kv.value_form, product.columns);
    product.depth = range.end - range.begin;
    if (alone) product.visible = tile.visible[row] >> range.begin;
    product.factors = tile.factors + row;
    product.out = tile.accumulator + row * product.columns;
    product.out_stride = product.columns;
    Multiply(product, rows, form);
  });
}

}  // namespace heed::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // HEED_HAS_FLOAT_KERNELS
