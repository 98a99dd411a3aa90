/* Descriptors that the process was started without.
 *
 * Rust's runtime opens /dev/null in the place of a closed stdin, stdout or stderr, so that no file that is opened later
 * takes its number. A filter whose stdout is closed would then write into nothing and end with 0. This runs earlier, and
 * opens /dev/null the wrong way round, as gnulib's stdopen does: the number is taken, and using it is an error.
 *
 * The array is that of the initialisers that run before those of shared libraries, which may open files of their own. */

#include <errno.h>
#include <fcntl.h>

static void mark_closed(void)
{
    static const int wrong_way[] = {O_WRONLY, O_RDONLY};
    for (int fd = 0; fd < 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF)
            (void)!open("/dev/null", wrong_way[fd]); /* takes the lowest number that is free: this one */
}

__attribute__((section(".preinit_array"), used)) static void (*const before_all_others)(void) = mark_closed;
