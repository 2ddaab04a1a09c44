// bench/contestant.h: what runs a layer, heed or a peer, and whoever is measured beside them.
#ifndef HEED_BENCH_CONTESTANT_H_
#define HEED_BENCH_CONTESTANT_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/problem.h"
#include "heed/executor.h"

namespace heed::bench {

class Contestant {
 public:
  virtual ~Contestant() = default;
  // y [batch][query_len][embed_dim] = the layer of x.
  virtual void Run(const float* x, float* y) = 0;
  // Weights, buffers, input and output; of peers without what their library allocates itself.
  virtual size_t Bytes() const = 0;
  // How many sets of weights Run() takes in turn.
  virtual size_t Copies() const { return 1; }
};

enum class Role {
  kHeed,
  kUnmasked,  // heed's layer without the mask of the shape, which hides nothing
  kPeer,      // runs with subnormals flushed to zero
  kStage,     // a part of heed's call; computes no layer
  kRead,      // reads the weights and the cache of a cold row and does nothing else
};

struct Identity {
  std::string name;
  Role role = Role::kHeed;
  Types types;  // a reader's and a stage's: those of the layer that it belongs to

  bool has_answer() const {
    return role == Role::kHeed || role == Role::kPeer || role == Role::kUnmasked;
  }
};
// Who could take part, before anything is built; make gives null where it cannot run the shape.
// Problem and Setting outlive what it makes.
struct Candidate : Identity {
  std::string layer;  // the name of heed's layer that a stage or an unmasked call belongs to
  std::function<std::unique_ptr<Contestant>(const Problem&)> make;
};
struct Entrant : Identity {
  std::unique_ptr<Contestant> contestant;
};

struct Setting {
  std::vector<std::string> targets;  // heed's
  size_t threads = 1;
  Executor executor;
  bool avx2 = false;  // peers that cannot be held to AVX2 are left out
};

// Stages of heed's f32 layer on its first target: a call without keys, which is the projections of
// q and of the output, and attention alone.
inline constexpr const char* kWithoutKeys = "without keys";
inline constexpr const char* kAttention = "attention";

// Ends the name of heed's layer where it is called without the mask.
inline constexpr const char* kUnmasked = "-unmasked";

// Reads as many bytes as heed's call with these types touches, and does nothing else: "read-int8",
// with a cache "read-int8-kv8" and "read-int8-core8".
Candidate ReaderCandidate(const Types& types, const Setting& setting);

// heed with all types on each target: "heed-int8", or with several targets "heed-AVX2-int8". The
// first is f32 on the first target; after all of them come its stages, or for a cold row a reader
// for each of HeedTypes(). Where the mask
// hides nothing: f32, and int8 with the int8 core, each followed by its call without the mask
// ("heed-int8-core8-unmasked").
std::vector<Candidate> HeedCandidates(const Shape& shape, const Setting& setting);
// The peers built in; none where the mask hides nothing.
std::vector<Candidate> PeerCandidates(const Shape& shape, const Setting& setting);
// "oneDNN 2.6.3, OpenBLAS 0.3.21 (SkylakeX)": for the report.
std::string PeerVersions();

inline constexpr const char* kYardstick = "oneDNN";  // its f32 layer

// Takes its parts in turn, so that each finds its memory cold.
class Rotation : public Contestant {
 public:
  // As many of make() as hold more than the last-level cache keeps. Each has `bytes` of weights and
  // of cache.
  template <typename Make>
  static std::unique_ptr<Contestant> Of(size_t bytes, const Make& make) {
    auto rotation = std::make_unique<Rotation>();
    for (size_t i = 0; i < CopiesOf(bytes); ++i) {
      rotation->parts_.push_back(make());
      if (rotation->parts_.back() == nullptr) return nullptr;
    }
    return rotation;
  }
  void Run(const float* x, float* y) override { parts_[next_++ % parts_.size()]->Run(x, y); }
  size_t Bytes() const override { return parts_[0]->Bytes(); }
  size_t Copies() const override { return parts_.size(); }

 private:
  static size_t CopiesOf(size_t bytes);
  std::vector<std::unique_ptr<Contestant>> parts_;
  size_t next_ = 0;
};

// make(), or for a cold shape a rotation of several.
template <typename Make>
std::unique_ptr<Contestant> MakeForShape(const Problem& problem, const Types& types,
                                         const Make& make) {
  if (!problem.shape().is_cold()) return make();
  return Rotation::Of(problem.TouchedBytes(types), make);
}

}  // namespace heed::bench

#endif  // HEED_BENCH_CONTESTANT_H_
