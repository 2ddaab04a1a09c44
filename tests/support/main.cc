// tests/support/main.cc: the entry of every test binary; `--help` lists doctest's options.
#if defined(__wasi__)
#include <istream>
// libc++ for WASI has no file streams, and doctest's option --out wants one: it leads nowhere.
template <>
class std::basic_fstream<char> : public std::iostream {
 public:
  basic_fstream() : std::iostream(nullptr) {}
  void open(const char*, std::ios::openmode) {}
  bool is_open() const { return false; }
  void close() {}
};
#endif

#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
