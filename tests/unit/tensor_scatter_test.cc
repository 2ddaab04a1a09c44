// tests/unit/tensor_scatter_test.cc: Put writes rows where ONNX's TensorScatter does: from a write
// index of each batch entry on, and in a ring (mode "circular") from its first place on again.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "lib/core/kv_store.h"
#include "lib/reference/kernels.h"
#include "lib/support/cached_numbers.h"
#include "tests/support/compare.h"
#include "tests/support/memory.h"
#include "tests/support/npy.h"
#include "tests/support/random.h"

namespace heed::test {
namespace {

using Floats = std::vector<float>;

struct Scatter {
  size_t batch, heads, length, dim;
  size_t new_rows;
  Floats past;    // [batch][heads][length][dim]
  Floats update;  // [batch][heads][new_rows][dim]
  std::vector<int32_t> write_indices;  // [batch]
};

// A store of one form with its memory.
struct Store {
  AlignedBytes keys, values, kinds;
  KvStore store;

  Store(const detail::KvShape& shape, size_t bytes)
      : keys(bytes), values(bytes), kinds(bytes),
        store(shape, reference::kKernels, keys.data(), values.data(), kinds.data()) {}
};

void Put(const KvStore& store, KvSide side, size_t entry, size_t head, size_t first_key,
         const float* rows, size_t count, size_t dim) {
  KvRows put;
  put.side = side;
  put.data = rows;
  put.stride = dim;
  put.batch = entry;
  put.first_head = head;
  put.num_heads = 1;
  put.first_key = first_key;
  put.count = count;
  store.Put(put);
}

float Read(const KvStore& store, KvSide side, size_t entry, size_t head, size_t key, size_t d) {
  const KvBlock block = store.view().Block(entry, head, key / kKeyBlock);
  const size_t j = key % kKeyBlock;
  const bool is_key = side == KvSide::kKeys;
  if (block.key_form == KvForm::kRows) {
    return static_cast<const float*>(is_key ? block.keys : block.values)[j * block.row_stride + d];
  }
  const size_t columns = sizes::RoundUp(store.head_dim(), kPanelColumns);
  return is_key ? KeyNumber(block, store.head_dim(), j, d) : ValueNumber(block, columns, j, d);
}

// The present cache of a side. The past is put first, then the update: as one put in a linear
// store, and row by row where the ring of the case is not one of whole blocks.
Floats Present(const Scatter& s, KvForm form, KvSide side, bool is_circular) {
  const bool is_ring = is_circular && s.length % kKeyBlock == 0;
  const detail::KvShape shape = {form, form, s.batch, s.heads, s.dim, s.dim, s.length};
  const Store memory(shape, s.batch * s.heads * sizes::RoundUp(s.length, 64) *
                                sizes::RoundUp(s.dim, 16) * sizeof(float));
  KvStore store = memory.store;
  if (is_ring) store.SetRing(0);
  Floats present;
  for (size_t entry = 0; entry < s.batch; ++entry) {
    for (size_t head = 0; head < s.heads; ++head) {
      const size_t index = entry * s.heads + head;
      const size_t first = static_cast<size_t>(s.write_indices[entry]);
      const float* const update = &s.update[index * s.new_rows * s.dim];
      Put(store, side, entry, head, 0, &s.past[index * s.length * s.dim], s.length, s.dim);
      if (is_circular && !is_ring) {
        for (size_t row = 0; row < s.new_rows; ++row) {
          Put(store, side, entry, head, (first + row) % s.length, update + row * s.dim, 1, s.dim);
        }
      } else {
        Put(store, side, entry, head, first, update, s.new_rows, s.dim);
      }
      for (size_t key = 0; key < s.length; ++key) {
        for (size_t d = 0; d < s.dim; ++d) {
          present.push_back(Read(store, side, entry, head, key, d));
        }
      }
    }
  }
  return present;
}

// The result of TensorScatter, in plain loops.
Floats Expected(const Scatter& s) {
  Floats present = s.past;
  for (size_t entry = 0; entry < s.batch; ++entry) {
    for (size_t head = 0; head < s.heads; ++head) {
      const size_t index = entry * s.heads + head;
      for (size_t row = 0; row < s.new_rows; ++row) {
        const size_t key = (static_cast<size_t>(s.write_indices[entry]) + row) % s.length;
        for (size_t d = 0; d < s.dim; ++d) {
          present[(index * s.length + key) * s.dim + d] =
              s.update[(index * s.new_rows + row) * s.dim + d];
        }
      }
    }
  }
  return present;
}

TEST_CASE("rows are scattered into a cache of three keys, and around a ring of 128") {
  const Scatter small = {2, 1, 3, 2, 2, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
                         {-1, -2, -3, -4, -5, -6, -7, -8}, {1, 0}};
  const Floats wanted = {1, 2, -1, -2, -3, -4, -5, -6, -7, -8, 11, 12};
  CHECK(Expected(small) == wanted);
  for (const KvSide side : {KvSide::kKeys, KvSide::kValues}) {
    CHECK(Present(small, KvForm::kRows, side, false) == wanted);
  }
  Random random(2);
  Scatter ring = {2, 2, 128, 5, 92, {}, {}, {100, 36}};  // the puts end with a block
  ring.past = BellVector(random, 2 * 2 * 128 * 5);
  ring.update = BellVector(random, 2 * 2 * 92 * 5);
  for (const KvSide side : {KvSide::kKeys, KvSide::kValues}) {
    CHECK(Present(ring, KvForm::kCacheF32, side, true) == Expected(ring));
  }
}

TEST_CASE("ONNX's cases of TensorScatter, linear and circular, as puts into rows and into blocks") {
  const std::string root = std::string(HEED_SHARED_DATA_DIR) + "/onnx_attention/test_tensorscatter";
  if (!FileExists(root + "/meta.json")) {
    MESSAGE("skipped: no cases of TensorScatter in HEED_SHARED_DATA");
    return;
  }
  for (const std::string name : {"", "_3d", "_circular"}) {
    CAPTURE(name);
    const std::string folder = root + name + "/";
    const Array past = ReadNpy(folder + "in_past_cache.npy");
    const Array update = ReadNpy(folder + "in_update.npy");
    const bool has_heads = past.shape.size() == 4;
    Scatter s;
    s.batch = past.shape[0];
    s.heads = has_heads ? past.shape[1] : 1;
    s.length = past.shape[has_heads ? 2 : 1];
    s.dim = past.shape.back();
    s.new_rows = update.shape[has_heads ? 2 : 1];
    s.past = past.Floats();
    s.update = update.Floats();
    s.write_indices = ReadNpy(folder + "in_write_indices.npy").Integers();
    const Floats wanted = ReadNpy(folder + "out_present_cache.npy").Floats();
    CHECK(Expected(s) == wanted);
    const bool is_circular = name == "_circular";
    for (const KvSide side : {KvSide::kKeys, KvSide::kValues}) {
      CHECK(Present(s, KvForm::kRows, side, is_circular) == wanted);
      if (is_circular) continue;
      // A put at the first row of a block empties the block, so that keys after the update are lost
      // there. This is why a ring of blocks has whole blocks, as in the case above.
      const Floats blocks = Present(s, KvForm::kCacheF32, side, false);
      for (size_t i = 0; i < wanted.size(); ++i) {
        const size_t key = i / s.dim % s.length;
        const size_t first = static_cast<size_t>(s.write_indices[i / s.dim / s.length / s.heads]);
        if (key < first + s.new_rows) CHECK(blocks[i] == wanted[i]);
      }
    }
  }
}

}  // namespace
}  // namespace heed::test
