// tests/cli/streaming_test.cc: the program reads of a file what it needs, from files, pipes and
// devices, and ends at once where a file is of no use.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include <doctest/doctest.h>

#include "tests/cli/call.h"

namespace heed::test {
namespace {

constexpr uint64_t kHuge = uint64_t{8} << 30;

LayerData MakeLayer() {
  Random random(151);
  return ExactLayer(Shape(8, 2), random);
}

std::string PackedByLibrary() {
  const AlignedBytes file = Pack(MakeLayer());
  return std::string(reinterpret_cast<const char*>(file.data()), file.size());
}

// The layer's tensors in the middle of `around` bytes before and as many after them, the file's
// data left out where it would be zeros.
std::string HeaderAmid(uint64_t around) {
  // No dimension is beyond 32 bits, which is what a 32-bit CPU can take.
  const std::string shape_around = R"({"dtype":"U8","shape":[32,)" + std::to_string(around / 32) +
                                   R"(],"data_offsets":[)";
  std::string header = R"({"before":)" + shape_around + "0," + std::to_string(around) + "]}";
  uint64_t at = around;
  for (const SavedTensor& tensor : Saved(MakeLayer(), Naming::kEncoder, "a.")) {
    std::string shape;
    for (const size_t dimension : tensor.shape) {
      shape += (shape.empty() ? "" : ",") + std::to_string(dimension);
    }
    header += ",\"" + tensor.name + R"(":{"dtype":"F32","shape":[)" + shape +
              R"(],"data_offsets":[)" + std::to_string(at) + "," +
              std::to_string(at + tensor.data.size()) + "]}";
    at += tensor.data.size();
  }
  header += R"(,"rest":)" + shape_around + std::to_string(at) + ",";
  return header + std::to_string(at + around) + "]}}";
}

std::string DataOfLayer() {
  std::string data;
  for (const SavedTensor& tensor : Saved(MakeLayer(), Naming::kEncoder, "a.")) data += tensor.data;
  return data;
}

// Such a file on the disk, where zeros take no room. False where the file system cannot.
bool WriteSparse(const std::string& path, uint64_t around) {
  if (sizeof(off_t) < 8) return false;
  const std::string start = SafetensorsWithHeader(HeaderAmid(around), ""), data = DataOfLayer();
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return false;
  const auto write_at = [file](const std::string& bytes, uint64_t at) {
    return pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at)) ==
           static_cast<ssize_t>(bytes.size());
  };
  const uint64_t end = start.size() + 2 * around + data.size();
  const bool good = write_at(start, 0) && write_at(data, start.size() + around) &&
                    ftruncate(file, static_cast<off_t>(end)) == 0;
  return close(file) == 0 && good;
}

// heed ARGS while another thread writes `contents` into the pipe at `path`.
Outcome HeedWithPipe(const std::string& path, const std::string& contents, const Words& args) {
  std::filesystem::remove(path);
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  std::thread writer([&] {
    const int pipe = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    size_t at = 0;
    while (at < contents.size()) {
      const size_t piece = std::min<size_t>(contents.size() - at, 3000);
      const ssize_t wrote = write(pipe, contents.data() + at, piece);
      if (wrote <= 0) break;
      at += static_cast<size_t>(wrote);
    }
    close(pipe);
  });
  const Outcome outcome = Heed(args);
  writer.join();
  return outcome;
}

// It took little time and `most` bytes; an emulator and a sanitizer have their own.
void CheckSmall(const Outcome& outcome, size_t most = size_t{256} << 20) {
  INFO("stderr: ", outcome.err);
  CHECK(outcome.signal == 0);
  if (StartsAreSlow()) return;
  CHECK(outcome.peak_bytes < most);
  CHECK(outcome.cpu_seconds < 5);
}

TEST_CASE("pack and --list of 16 GB take the memory of the layer, and the time of its bytes") {
  const Folder folder;
  const std::string in = folder.Path("in.safetensors");
  if (!WriteSparse(in, kHuge)) {
    MESSAGE("skipped: no sparse files of 16 GB here");
    return;
  }
  const Outcome packed = Heed({"pack", in, folder.Path("out"), "--heads", "2"});
  CHECK(packed.exit_code == 0);
  CheckSmall(packed);
  CHECK((folder.Read("out") == PackedByLibrary()));
  const Outcome listed = Heed({"pack", in, "--list"});
  CHECK(listed.exit_code == 0);
  CHECK(listed.out.find("embed_dim=8") != std::string::npos);
  CheckSmall(listed);
  std::filesystem::remove(in);
}

TEST_CASE("a huge file of no use is refused by its first bytes") {
  const Folder folder;
  const std::string in = folder.Path("huge");
  for (const std::string& start : {std::string("junk"), std::string("HEED"), PackedByLibrary(),
                                  Number(100000000, 8) + "{",
                                  std::string("\x93NUMPY\x01\0", 8)}) {
    folder.Write("huge", start);
    std::error_code error;
    std::filesystem::resize_file(in, kHuge, error);
    if (error) {
      MESSAGE("skipped: no sparse files of 8 GB here");
      return;
    }
    const std::string packed = folder.Write("layer.heed", PackedByLibrary());
    for (const Words& args : {Words{"info", in}, Words{"pack", in, "--list"},
                              Words{"pack", in, folder.Path("out"), "--heads", "2"},
                              Words{"run", packed, "--query", in},
                              Words{"run", in, "--query", in}}) {
      const Outcome outcome = Heed(args);
      CheckError(outcome, 1, {in});
      CheckSmall(outcome, size_t{400} << 20);
    }
  }
}

TEST_CASE("devices, folders and files that the system makes up end at once with one line") {
  const Folder folder;
  const std::string packed = folder.Write("layer.heed", PackedByLibrary());
  for (const std::string path : {"/dev/zero", "/dev/urandom", "/dev/null", "/", "/proc/self/maps",
                                 "/proc/self/cmdline", "/proc/version", "/proc/self/mem"}) {
    if (access(path.c_str(), R_OK) != 0) continue;
    CAPTURE(path);
    for (const Words& args : {Words{"info", path}, Words{"pack", path, "--list"},
                              Words{"pack", path, folder.Path("out"), "--heads", "2"},
                              Words{"run", path, "--query", path},
                              Words{"run", packed, "--query", path}}) {
      const Outcome outcome = Heed(args);
      CheckError(outcome, 1, {path});
      CheckSmall(outcome);
    }
  }
  CHECK(!folder.Has("out"));
}

TEST_CASE("an output may be /dev/stdout where that is a pipe") {
  const Folder folder;
  const std::string packed = folder.Write("layer.heed", PackedByLibrary());
  const std::string x = folder.Write("x.npy", NpyFloats({3, 8}, std::vector<float>(24, 0.5f)));
  HeedOk({"run", packed, "--query", x, "--output", folder.Path("y.npy")});
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const Outcome outcome = Heed({"run", packed, "--query", x, "--output", "/dev/stdout"},
                               "/proc/self/fd/" + std::to_string(ends[1]));
  close(ends[1]);
  CHECK(outcome.exit_code == 0);
  CHECK(outcome.err.empty());
  std::string got(1000, '\0');
  const ssize_t size = read(ends[0], got.data(), got.size());
  close(ends[0]);
  REQUIRE(size > 0);
  CHECK((got.substr(0, static_cast<size_t>(size)) == folder.Read("y.npy")));
}

TEST_CASE("a pipe is read as a file is, to its end, and no further than that") {
  const Folder folder;
  const std::string pipe = folder.Path("pipe");
  const std::string good = SafetensorsWithHeader(
      HeaderAmid(100000), std::string(100000, 'x') + DataOfLayer() + std::string(100000, 'y'));
  const Words pack = {"pack", pipe, folder.Path("out"), "--heads", "2"};
  CHECK(HeedWithPipe(pipe, good, pack).exit_code == 0);
  CHECK((folder.Read("out") == PackedByLibrary()));
  CHECK(HeedWithPipe(pipe, good, {"pack", pipe, "--list"}).out.find("embed_dim=8") !=
        std::string::npos);
  for (const Words& args : {pack, Words{"pack", pipe, "--list"}}) {
    CheckError(HeedWithPipe(pipe, good + "z", args), 1, {pipe, "got more"});
    for (const size_t size : {size_t{0}, size_t{7}, size_t{8}, size_t{9}, size_t{100},
                              size_t{50000}, good.size() - 150000, good.size() - 1}) {
      CAPTURE(size);
      CheckError(HeedWithPipe(pipe, good.substr(0, size), args), 1, {pipe});
    }
    // Sizes that only a header promises take no memory.
    const std::string promised = SafetensorsWithHeader(HeaderAmid(kHuge), "abc");
    const Outcome outcome = HeedWithPipe(pipe, promised, args);
    CheckError(outcome, 1, {pipe, "truncated"});
    CheckSmall(outcome);
    const std::string claim = Number(100000000, 8) + "{\"a\":";
    const Outcome cut = HeedWithPipe(pipe, claim, args);
    CheckError(cut, 1, {pipe, "expected 100000000"});
    CheckSmall(cut);
  }
  const std::string packed = PackedByLibrary();
  CHECK(HeedWithPipe(pipe, packed, {"info", pipe}).out.find("embed_dim") != std::string::npos);
  CheckError(HeedWithPipe(pipe, packed + "z", {"info", pipe}), 1, {pipe, "got more"});
  for (const size_t size : {size_t{0}, size_t{255}, size_t{256}, packed.size() - 1}) {
    CheckError(HeedWithPipe(pipe, packed.substr(0, size), {"info", pipe}), 1, {pipe});
  }
  const std::string query = NpyFloats({3, 8}, std::vector<float>(24, 0.5f));
  const Words run = {"run", folder.Write("layer.heed", packed), "--query", pipe};
  CHECK(HeedWithPipe(pipe, query, run).exit_code == 0);
  CheckError(HeedWithPipe(pipe, query + "z", run), 1, {pipe, "got more"});
  CheckError(HeedWithPipe(pipe, query.substr(0, query.size() - 1), run), 1, {pipe, "expected 96"});
  CheckError(HeedWithPipe(pipe, Npy("<f4", {1 << 14, 1 << 14}, "abcd"), run), 1, {pipe, "got 4"});
}

}  // namespace
}  // namespace heed::test
