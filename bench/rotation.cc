// bench/rotation.cc: how many copies of a contestant are taken in turn, and the reader that they
// are compared with.
#include <algorithm>

#include "bench/contestant.h"
#include "bench/machine.h"

namespace heed::bench {
namespace {

class Reader : public Contestant {
 public:
  Reader(size_t bytes, const Setting& setting)
      : part_(bytes / setting.threads / 512 * 512), executor_(setting.executor), data_(bytes) {}
  void Run(const float*, float*) override {
    const auto read = [](void* reader, size_t task, size_t) {
      const Reader& self = *static_cast<Reader*>(reader);
      ReadOnce(self.data_.data() + task * self.part_, self.part_);
    };
    if (executor_.run == nullptr) return read(this, 0, 0);
    executor_.run(executor_.context, executor_.num_workers, read, this);
  }
  size_t Bytes() const override { return data_.size(); }

 private:
  size_t part_;
  Executor executor_;
  Buffer data_;
};

}  // namespace

size_t Rotation::CopiesOf(size_t bytes) {
  constexpr size_t kLeast = size_t{256} << 20, kMost = size_t{512} << 20;
  const size_t cold = std::clamp(2 * LastLevelCacheBytes(), kLeast, kMost);
  return (cold + bytes - 1) / bytes;
}

Candidate ReaderCandidate(const Types& types, const Setting& setting) {
  Candidate candidate;
  candidate.name = std::string("read-") + NameOf(types.weights);
  candidate.name += Types{WeightType::kF32, types.core, types.cache}.suffix();
  candidate.role = Role::kRead;
  candidate.types = types;
  candidate.make = [&setting, types](const Problem& problem) {
    const size_t bytes = problem.TouchedBytes(types);
    return Rotation::Of(bytes, [&] { return std::make_unique<Reader>(bytes, setting); });
  };
  return candidate;
}

}  // namespace heed::bench
