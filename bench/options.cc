// bench/options.cc
#include "bench/options.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <regex>
#include <sstream>
#include <utility>

#include "bench/fail.h"

namespace heed::bench {
namespace {

constexpr const char* kHelp =
    R"(heed_bench: attention layers on heed and its peers, interleaved, one process

  --shapes REGEX       named shapes (bench/shapes.h); all of them unless --shape is given
  --shape B,L,E,H[,M]  one more: batch, length, embed_dim, heads, and a mask: causal, pad, or bias,
                       keep, padmask, which hide nothing; may be repeated
  --target NAME|all    heed's dispatch target (default: the best); may be repeated
  --weights LIST       contestants with weights of these types, of f32,bf16,int8,int4 (default:
                       all); the yardstick, oneDNN's f32 layer, is measured with each of them
  --contestants REGEX  those of them with such a name, e.g. '^heed|^oneDNN$'; the tables show the
                       names, -core8 marks heed's int8 attention core
  --threads N          for everyone (default 1)
  --seconds S          of each contestant on each shape, at least (default 0.5)
  --isa avx2           everyone held to AVX2
  --check              exit 1 where heed misses a target of bench/shapes.h; also with --latency
  --operations         heed's operations one by one instead of layers, on each --target, for
                       --seconds each
  --latency            how evenly steps with a cache run: p50, p99 and max of heed and of plain
                       reads of the same bytes, one after the other; --shapes (default: dec768-512
                       and dec2048-2048) and --contestants choose among f32 and int8
  --steps N            of each in --latency (default 10000)
  --no-machine         leaves out the machine's peaks and bandwidths
  --benchmark_...      Google Benchmark's: --benchmark_out=FILE.json, --benchmark_filter, ...
)";

[[noreturn]] void Refuse(const std::string& what) { Fail(what, kWrongUsage); }

// A regular expression that compiles.
std::string Pattern(const std::string& option, const std::string& text) {
  try {
    std::regex pattern(text);
  } catch (const std::regex_error&) {
    Refuse(option + ": expected a regular expression, got " + text);
  }
  return text;
}

std::vector<WeightType> WeightTypes(const std::string& text) {
  std::vector<WeightType> types;
  std::istringstream list(text);
  for (std::string name; std::getline(list, name, ',');) {
    const auto* found = std::find(std::begin(kWeightNames), std::end(kWeightNames), name);
    if (found == std::end(kWeightNames))
      Refuse("--weights: expected f32,bf16,int8,int4, got " + name);
    types.push_back(static_cast<WeightType>(found - std::begin(kWeightNames)));
  }
  if (types.empty()) Refuse("--weights: expected f32,bf16,int8,int4, got nothing");
  return types;
}

double Number(const std::string& option, const std::string& text, double low, double high) {
  char* end = nullptr;
  const double number = strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(number >= low && number <= high)) {
    Refuse(option + ": expected a number from " + std::to_string(low) + " to " +
           std::to_string(high) + ", got " + text);
  }
  return number;
}

}  // namespace

Options ParseOptions(int* argc, char** argv) {
  Options options;
  std::string named;
  int kept = 1;
  for (int i = 1; i < *argc; ++i) {
    std::string option = argv[i], value;
    const size_t equals = option.find('=');
    const bool joined = equals != std::string::npos;
    if (joined) {
      value = option.substr(equals + 1);
      option.resize(equals);
    }
    if (option.compare(0, 12, "--benchmark_") == 0) {
      argv[kept++] = argv[i];
      continue;
    }
    if (!joined && option == "--help") {
      fputs(kHelp, stdout);
      exit(0);
    }
    if (!joined && (option == "--check" || option == "--no-machine")) {
      (option == "--check" ? options.check : options.machine) = option == "--check";
      continue;
    }
    if (!joined && (option == "--operations" || option == "--latency")) {
      (option == "--operations" ? options.operations : options.latency) = true;
      continue;
    }
    if (!joined) {
      if (i + 1 == *argc) Refuse(option + ": unknown option, or its value is missing; see --help");
      value = argv[++i];
    }
    if (option == "--shapes") {
      named = Pattern(option, value);
    } else if (option == "--shape") {
      Shape shape;
      if (!ParseShape(value, &shape)) {
        Refuse("--shape: expected batch,length,embed_dim,heads[,mask], got " + value);
      }
      options.shapes.push_back(shape);
    } else if (option == "--target") {
      options.targets.push_back(value);
    } else if (option == "--weights") {
      options.weights = WeightTypes(value);
    } else if (option == "--contestants") {
      options.contestants = Pattern(option, value);
    } else if (option == "--threads") {
      options.threads = static_cast<size_t>(Number(option, value, 1, 1024));
    } else if (option == "--seconds") {
      options.seconds = Number(option, value, 0, 3600);
    } else if (option == "--steps") {
      options.steps = static_cast<size_t>(Number(option, value, 1, 1e7));
    } else if (option == "--isa" && value == "avx2") {
      options.avx2 = true;
    } else {
      Refuse(option + " " + value + ": unknown; see --help");
    }
  }
  if (named.empty() && options.shapes.empty()) {
    named = options.latency ? "^dec768-512$|^dec2048-2048$" : ".";
  }
  if (!named.empty()) {
    std::vector<Shape> shapes;
    for (const Shape& shape : NamedShapes()) {
      if (std::regex_search(shape.name, std::regex(named))) shapes.push_back(shape);
    }
    options.shapes.insert(options.shapes.begin(), shapes.begin(), shapes.end());
  }
  if (options.shapes.empty()) Refuse("--shapes " + named + ": no such shape");
  argv[kept] = nullptr;
  *argc = kept;
  return options;
}

void SetEnvironment(const Options& options, char** argv) {
  const std::string threads = std::to_string(options.threads);
  const char* const isa = options.avx2 ? "AVX2" : nullptr;
  const std::pair<const char*, const char*> wanted[] = {
      {"OMP_NUM_THREADS", threads.c_str()},
      {"OPENBLAS_NUM_THREADS", threads.c_str()},
      {"DNNL_MAX_CPU_ISA", isa},
      {"ONEDNN_MAX_CPU_ISA", isa},
      {"OPENBLAS_CORETYPE", options.avx2 ? "Haswell" : nullptr},
      {"OPENBLAS_L2_SIZE", nullptr}};
  bool changed = false;
  for (const auto& [name, value] : wanted) {
    const char* present = getenv(name);
    if (present == value || (present != nullptr && value != nullptr && !strcmp(present, value))) {
      continue;
    }
    if (value == nullptr) unsetenv(name);
    if (value != nullptr) setenv(name, value, 1);
    changed = true;
  }
  if (!changed) return;
  execv("/proc/self/exe", argv);
  execvp(argv[0], argv);
  Refuse("the program cannot start itself again");
}

}  // namespace heed::bench
