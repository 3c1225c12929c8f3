/*
 * Sends noise through a vchan and expects it back: Debian's libxenvchan on both sides, in dom0 or in a guest.
 *
 * usage: vchan-check serve DOMAIN PATH         waits for that domain and sends back whatever comes, until it hangs up
 *        vchan-check ask DOMAIN PATH KIBIBYTES sends so much in pieces of all lengths and compares what comes back
 *
 * PATH is where in xenstore the server tells what the client needs. Source: Xen public header libxenvchan.h.
 */
#include <libxenvchan.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Pieces go from 1 byte to more than a ring holds. */
#define LONGEST 9000
#define RING 4096

static char sent[LONGEST], heard[LONGEST];

static uint32_t noise(void) {
    static uint32_t state = 2463534242u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static int fail(const char *what) {
    printf("vchan: %s failed\n", what);
    return 1;
}

static int serve(int domain, const char *path) {
    struct libxenvchan *channel = libxenvchan_server_init(NULL, domain, path, RING, RING);
    long total = 0;
    if (!channel) return fail("making a server");
    channel->blocking = 1;
    for (;;) {
        int length = libxenvchan_read(channel, heard, sizeof heard);
        int done = 0;
        if (length <= 0) break;
        while (done < length) {
            int piece = libxenvchan_write(channel, heard + done, length - done);
            if (piece <= 0) return fail("answering");
            done += piece;
        }
        total += length;
    }
    libxenvchan_close(channel);
    printf("vchan: served %ld bytes\n", total);
    return 0;
}

static struct libxenvchan *call(int domain, const char *path) {
    /* The server may need a while before it has told where it is. */
    for (int tries = 0; tries < 100; tries++) {
        struct libxenvchan *channel = libxenvchan_client_init(NULL, domain, path);
        if (channel) return channel;
        usleep(200000);
    }
    return NULL;
}

/* Sends a piece and takes it back as it comes, so that neither ring stays full. */
static int exchange(struct libxenvchan *channel, int length) {
    int out = 0, in = 0;
    for (int at = 0; at < length; at++) sent[at] = (char)noise();
    while (in < length) {
        int moved = 0, piece;
        channel->blocking = 0;
        if (out < length) {
            piece = libxenvchan_write(channel, sent + out, length - out);
            if (piece < 0) return fail("sending");
            out += piece;
            moved += piece;
        }
        piece = libxenvchan_read(channel, heard + in, length - in);
        if (piece < 0) return fail("hearing");
        in += piece;
        moved += piece;
        if (!moved && libxenvchan_wait(channel) < 0) return fail("waiting");
    }
    return memcmp(sent, heard, length) ? fail("comparing") : 0;
}

static int ask(int domain, const char *path, long bytes) {
    struct libxenvchan *channel = call(domain, path);
    long total = 0;
    if (!channel) return fail("finding the server");
    while (total < bytes) {
        int length = 1 + noise() % LONGEST;
        if (exchange(channel, length)) return 1;
        total += length;
    }
    libxenvchan_close(channel);
    printf("vchan: all came back\n");
    return 0;
}

int main(int count, char **words) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count == 4 && !strcmp(words[1], "serve")) return serve(atoi(words[2]), words[3]);
    if (count == 5 && !strcmp(words[1], "ask")) return ask(atoi(words[2]), words[3], atol(words[4]) * 1024);
    fprintf(stderr, "usage: vchan-check serve DOMAIN PATH | ask DOMAIN PATH KIBIBYTES\n");
    return 2;
}
