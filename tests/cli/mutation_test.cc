// tests/cli/mutation_test.cc: whatever bytes a file holds, the program ends with exit code 0 or 1
// and at most one line on stderr. Every failure names the seed that replays it.
#include <algorithm>
#include <cstdio>

#include <doctest/doctest.h>

#include "tests/cli/call.h"
#include "tests/support/packed_file.h"

namespace heed::test {
namespace {

// One to four of: a byte changed, a bit flipped, a piece removed, doubled, or made zeros or 0xff,
// an edge number written, a digit changed.
std::string Mutated(std::string file, Random& random) {
  const uint64_t edges[] = {0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
                            uint64_t{1} << 32, uint64_t{1} << 60, uint64_t{1} << 63, ~uint64_t{0}};
  for (size_t edits = random.Between(1, 4); edits > 0 && !file.empty(); --edits) {
    const size_t at = random.Below(file.size());
    const size_t count = random.Between(1, 9);
    switch (random.Below(8)) {
      case 0: file[at] = static_cast<char>(random.Next()); break;
      case 1: file[at] = static_cast<char>(file[at] ^ 1 << random.Below(8)); break;
      case 2: file.erase(at, count); break;
      case 3: file.insert(at, file.substr(at, count)); break;
      case 4: file.replace(at, count, std::string(count, '\0')); break;
      case 5: file.replace(at, count, std::string(count, '\xff')); break;
      case 6: {
        const size_t width = random.Chance(50) ? 4 : 8;
        file.replace(at, width, Number(edges[random.Below(13)], width));
        break;
      }
      default: {
        const size_t digit = file.find_first_of("0123456789", at);
        if (digit != std::string::npos) file[digit] = static_cast<char>('0' + random.Below(10));
      }
    }
  }
  return file;
}

std::string TextOf(const AlignedBytes& file) {
  return std::string(reinterpret_cast<const char*>(file.data()), file.size());
}

// For each seed `command` gets a mutated `file`; some must be refused, and a few may pass.
template <typename Command>
void Try(const std::string& file, uint64_t first_seed, const Command& command) {
  const size_t count = Stride(200, 30);
  size_t refused = 0;
  for (uint64_t seed = first_seed; seed < first_seed + count; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    refused += Survives(command(Mutated(file, random))) ? 0 : 1;
  }
  CHECK(refused >= count / 4);
}

LayerData SmallLayer() {
  Random random(121);
  return NormalLayer(Shape(4, 2), random);
}

TEST_CASE("pack survives mutated safetensors files, and leaves no output of those it refuses") {
  const Folder folder;
  const std::string out = folder.Path("out.heed");
  // Spread over header and data alike: the header is a good half of the file.
  Try(Safetensors(Saved(SmallLayer(), Naming::kTorch)), 1000, [&](const std::string& file) {
    remove(out.c_str());
    return Words{"pack", folder.Write("in.safetensors", file), out, "--heads", "2"};
  });
  Try(Safetensors(Saved(SmallLayer(), Naming::kBert)), 2000, [&](const std::string& file) {
    return Words{"pack", folder.Write("in.safetensors", file), "--list"};
  });
}

TEST_CASE("run survives mutated .npy files, as input and as mask") {
  const LayerCall call(SmallLayer(), CallSizes{1, 3, 0, false, false, false}, 122);
  const Folder& folder = call.folder();
  Try(folder.Read("query.npy"), 3000, [&](const std::string& file) {
    return Words{"run", call.packed(), "--query", folder.Write("bad.npy", file)};
  });
  Try(Npy("|b1", {3, 3}, std::string(9, '\1')), 4000, [&](const std::string& file) {
    return call.words() + Words{"--keep-mask", folder.Write("bad.npy", file)};
  });
  Try(Npy("<i8", {1}, Number(2, 8)), 5000, [&](const std::string& file) {
    return call.words() + Words{"--key-lengths", folder.Write("bad.npy", file)};
  });
}

TEST_CASE("run survives mutated packed files, also with true checksums") {
  const LayerCall call(SmallLayer(), CallSizes{1, 3, 0, false, false, false}, 123);
  const Folder& folder = call.folder();
  const std::string good = TextOf(Pack(SmallLayer()));
  const auto run = [&](const std::string& file) {
    return Words{"run", folder.Write("bad.heed", file), "--query", folder.Path("query.npy")};
  };
  Try(good, 6000, run);
  const auto repaired = [&](std::string file) {
    RepairChecksums(MutableBytes(reinterpret_cast<std::byte*>(file.data()), file.size()));
    return run(file);
  };
  Random random(124);
  AttentionConfig config = Shape(4, 2).WithRope(RopeStyle::kHalf);
  config.k_norm = true;
  const std::string positions = TextOf(Pack(NormalLayer(config, random)));
  Try(positions, 9000, run);
  // Header, table and fields are mutated; the rest stays, and every checksum is right.
  Try(positions.substr(80, 448 - 80), 10000, [&](const std::string& start) {
    std::string file = positions;
    const size_t count = std::min<size_t>(start.size(), 448 - 80);
    file.replace(80, count, start.substr(0, count));
    return repaired(file);
  });
  // A hostile writer knows how to compute a checksum.
  Try(good.substr(0, 80), 7000, [&](const std::string& start) {
    std::string file = good;
    file.replace(0, std::min<size_t>(start.size(), 80), start.substr(0, 80));
    file.replace(0, 8, good.substr(0, 8));
    return repaired(file);
  });
}

TEST_CASE("sdpa survives three arrays of random shapes") {
  const Folder folder;
  constexpr size_t kBits = 8 * sizeof(size_t);
  const size_t edges[] = {
      0, 1, 2, 3, 7, 64, 4096, size_t{1} << kBits / 2, size_t{1} << (kBits - 3)};
  for (uint64_t seed = 8000; seed < 8000 + Stride(200, 30); ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Words words = {"sdpa"};
    for (const std::string name : {"query", "key", "value"}) {
      Dims shape;
      size_t count = 1;
      for (int i = 0; i < 4; ++i) {
        shape.push_back(edges[random.Chance(80) ? random.Below(4) : random.Below(9)]);
        if (count != 0 && shape[i] > 4096 / count) shape[i] = random.Below(2);
        count *= shape[i];
      }
      const std::string file = Npy("<f4", shape, std::string(4 * count, '\1'));
      words = words + Words{"--" + name, folder.Write(name + ".npy", file)};
    }
    Survives(words);
  }
}

}  // namespace
}  // namespace heed::test
