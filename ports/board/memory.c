/* ports/board/memory.c: the functions that heed, or a compiler by itself, asks of a C library.
 * Built with -fno-tree-loop-distribute-patterns, or they would call themselves. */
#include <stddef.h>

void* memcpy(void* restrict to, const void* restrict from, size_t size) {
  unsigned char* t = to;
  const unsigned char* f = from;
  while (size-- != 0) *t++ = *f++;
  return to;
}

void* memset(void* to, int value, size_t size) {
  unsigned char* t = to;
  while (size-- != 0) *t++ = (unsigned char)value;
  return to;
}

int strcmp(const char* a, const char* b) {
  for (; *a != '\0' && *a == *b; ++a, ++b) {
  }
  return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char* a, const char* b, size_t size) {
  for (; size != 0; --size, ++a, ++b) {
    if (*a != *b || *a == '\0') return (unsigned char)*a - (unsigned char)*b;
  }
  return 0;
}

size_t strlen(const char* text) {
  size_t length = 0;
  while (text[length] != '\0') ++length;
  return length;
}
