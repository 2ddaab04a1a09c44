/* ports/board/stdio.c: a board is whatever has a C library. */
#include <stdio.h>
#include <stdlib.h>

#include "board/board.h"

void heed_board_put(char c) { putchar(c); }
void heed_board_exit(int status) { exit(status); }
