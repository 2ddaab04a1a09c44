/* ports/board/board.h: what a program asks of a board, and what start-up code asks of this folder.
 * stdio.c is a board with an operating system. The rest is for boards without: start-up code of
 * ports/<platform> sets the stack pointer, turns the FPU on and calls heed_board_start. */
#ifndef HEED_PORTS_BOARD_H_
#define HEED_PORTS_BOARD_H_

#ifdef __cplusplus
extern "C" {
#endif

void heed_board_put(char c);
void heed_board_exit(int status);

/* Copies .data, clears .bss, paints the stack, runs main, prints how much of the stack was used
 * and exits with what main returned. */
void heed_board_start(void);
/* For exception vectors that nothing else serves: says so and exits with 3. */
void heed_board_fault(void);

#ifdef __cplusplus
}
#endif

#endif /* HEED_PORTS_BOARD_H_ */
