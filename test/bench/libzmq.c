/*
 * libzmq by itself, in C: a DEALER sends to a ROUTER, each message a header of 8 octets and the content, with the defaults of
 * the library, in blocking calls. What it is told and answers, and when it counts, is as in contender.ts.
 *
 *   libzmq hear|echo|send|ping BYTES LOADED [ENDPOINT]
 */

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define WARM_MS 500
#define COUNT_MS 1000
#define PING_WARM_MS 500
#define PING_MS 1500
#define STALLED_MS 20000
#define BREATH_MS 5
#define WAIT_MS 2
#define LOAD_BYTES 1024
#define LOAD_PER_MS 10
#define LOAD_MARK 0x4c
#define MARK 0x2a
/* From here on content goes by reference: the library copies what is smaller faster than it counts references. */
#define REFERENCE_BYTES 4096
#define SAMPLES_MAX 4000000

static const uint8_t HEADER[8];
static void *mailbox;
static size_t bytes;
static uint8_t *payload;

static double now_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e3 + at.tv_nsec / 1e6;
}

static void fail(const char *reason)
{
    printf("{\"event\":\"failed\",\"reason\":\"%s: %s\"}\n", reason, zmq_strerror(zmq_errno()));
    exit(1);
}

/* The next word on stdin within so long, or an empty one; its number goes to *number. */
static const char *word(int wait_ms, uint64_t *number)
{
    static char text[64];
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    if (poll(&input, 1, wait_ms) <= 0)
        return "";
    ssize_t length = read(STDIN_FILENO, text, sizeof text - 1);
    if (length <= 0)
        exit(0);
    text[length] = 0;
    char *rest = strpbrk(text, " \n");
    if (rest != NULL) {
        *number = strtoull(rest, NULL, 10);
        *rest = 0;
    }
    return text;
}

static void await_go(void)
{
    uint64_t none = 0;
    while (strcmp(word(-1, &none), "go") != 0)
        ;
}

static void keep(void *data, void *hint)
{
    (void) data;
    (void) hint;
}

static void send_content(uint8_t *content, size_t size)
{
    if (zmq_send(mailbox, HEADER, sizeof HEADER, ZMQ_SNDMORE) < 0)
        fail("could not send");
    if (size < REFERENCE_BYTES) {
        if (zmq_send(mailbox, content, size, 0) < 0)
            fail("could not send");
        return;
    }
    zmq_msg_t message;
    zmq_msg_init_data(&message, content, size, keep, NULL);
    if (zmq_msg_send(&message, mailbox, 0) < 0)
        fail("could not send");
}

/* Waits for a message as long as the socket does. Its content is in *content; false when there was none. */
static int hear_content(zmq_msg_t *from, zmq_msg_t *content, int routed)
{
    if (routed && zmq_msg_recv(from, mailbox, 0) < 0)
        return 0;
    zmq_msg_t header;
    zmq_msg_init(&header);
    if (zmq_msg_recv(&header, mailbox, 0) < 0)
        return 0;
    zmq_msg_close(&header);
    if (zmq_msg_recv(content, mailbox, 0) < 0)
        fail("a message was not whole");
    return 1;
}

static void hear(void)
{
    const uint64_t every = bytes > 4096 ? 1 : 64;
    zmq_msg_t from, content;
    zmq_msg_init(&from);
    zmq_msg_init(&content);
    uint64_t total = 0, counted = 0, expected = UINT64_MAX;
    double first_at = 0, from_at = 0, heard_at = 0;
    enum { COLD, WARM, COUNTING, TOLD } state = COLD;
    for (;;) {
        int heard = hear_content(&from, &content, 1);
        if (heard && zmq_msg_size(&content) != bytes)
            fail("a content of another size arrived");
        total += heard;
        if (heard && state != COLD && total % every != 0)
            continue;
        double now = now_ms();
        if (heard)
            heard_at = now;
        if (state == COLD && heard) {
            state = WARM;
            first_at = now;
        } else if (state == WARM && now - first_at >= WARM_MS) {
            state = COUNTING;
            from_at = now;
            counted = total;
        } else if (state == COUNTING && now - from_at >= COUNT_MS) {
            state = TOLD;
            printf("{\"event\":\"rate\",\"perSecond\":%.1f}\n", (total - counted) / (now - from_at) * 1e3);
        } else if (!heard && expected == UINT64_MAX) {
            uint64_t number = 0;
            if (strcmp(word(0, &number), "expect") == 0)
                expected = number;
        }
        if (total == expected) {
            printf("{\"event\":\"settled\"}\n");
            expected = UINT64_MAX;
        } else if (expected != UINT64_MAX && (total > expected || now - heard_at > STALLED_MS)) {
            fail("what arrived is not what was sent");
        }
    }
}

static void send_all(void)
{
    const uint64_t every = bytes > 4096 ? 1 : 64;
    uint64_t total = 0, none = 0;
    await_go();
    double turned_at = now_ms();
    for (;;) {
        send_content(payload, bytes);
        if (++total % every != 0 || now_ms() - turned_at < BREATH_MS)
            continue;
        if (strcmp(word(0, &none), "stop") == 0)
            break;
        turned_at = now_ms();
    }
    printf("{\"event\":\"sent\",\"count\":%llu}\n", (unsigned long long) total);
    for (;;)
        word(-1, &none);
}

static void echo(int loaded)
{
    static uint8_t load[LOAD_BYTES];
    memset(load, LOAD_MARK, sizeof load);
    zmq_msg_t from, content;
    zmq_msg_init(&from);
    zmq_msg_init(&content);
    uint64_t none = 0;
    double loaded_at = 0;
    for (;;) {
        if (hear_content(&from, &content, 1)) {
            zmq_send(mailbox, zmq_msg_data(&from), zmq_msg_size(&from), ZMQ_SNDMORE);
            zmq_send(mailbox, HEADER, sizeof HEADER, ZMQ_SNDMORE);
            if (zmq_msg_send(&content, mailbox, 0) < 0)
                fail("could not answer");
        } else {
            word(0, &none);
        }
        if (!loaded || zmq_msg_size(&from) == 0)
            continue;
        if (loaded_at == 0)
            loaded_at = now_ms();
        for (; now_ms() - loaded_at > 1; loaded_at += 1) {
            for (int count = 0; count < LOAD_PER_MS; count++) {
                zmq_send(mailbox, zmq_msg_data(&from), zmq_msg_size(&from), ZMQ_SNDMORE);
                send_content(load, sizeof load);
            }
        }
    }
}

static int compare(const void *one, const void *other)
{
    double difference = *(const double *) one - *(const double *) other;
    return (difference > 0) - (difference < 0);
}

static void ping(void)
{
    double *samples = malloc(SAMPLES_MAX * sizeof *samples);
    size_t count = 0;
    zmq_msg_t content;
    zmq_msg_init(&content);
    await_go();
    double from = now_ms(), now = from;
    while (now - from < PING_WARM_MS + PING_MS && count < SAMPLES_MAX) {
        double sent_at = now_ms();
        send_content(payload, bytes);
        do {
            while (!hear_content(NULL, &content, 0))
                if (now_ms() - sent_at > STALLED_MS)
                    fail("no answer came");
        } while (*(uint8_t *) zmq_msg_data(&content) == LOAD_MARK);
        now = now_ms();
        if (now - from > PING_WARM_MS)
            samples[count++] = (now - sent_at) * 1e3;
    }
    qsort(samples, count, sizeof *samples, compare);
    printf("{\"event\":\"trips\",\"p50Us\":%.2f,\"p99Us\":%.2f,\"count\":%zu}\n",
           samples[(count - 1) / 2], samples[(size_t) ((count - 1) * 0.99)], count);
    uint64_t none = 0;
    for (;;)
        word(-1, &none);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        int major, minor, patch;
        zmq_version(&major, &minor, &patch);
        printf("%d.%d.%d\n", major, minor, patch);
        return 0;
    }
    if (argc < 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *role = argv[1];
    bytes = strtoull(argv[2], NULL, 10);
    payload = malloc(bytes);
    memset(payload, MARK, bytes);
    int listens = strcmp(role, "hear") == 0 || strcmp(role, "echo") == 0;
    mailbox = zmq_socket(zmq_ctx_new(), listens ? ZMQ_ROUTER : ZMQ_DEALER);
    int wait_ms = WAIT_MS;
    if (strcmp(role, "echo") == 0 && atoi(argv[3]))
        wait_ms = 1;
    zmq_setsockopt(mailbox, ZMQ_RCVTIMEO, &wait_ms, sizeof wait_ms);
    char endpoint[256] = "";
    size_t length = sizeof endpoint;
    if (listens) {
        if (zmq_bind(mailbox, "tcp://127.0.0.1:*") < 0)
            fail("could not bind");
        zmq_getsockopt(mailbox, ZMQ_LAST_ENDPOINT, endpoint, &length);
    } else if (argc < 5 || zmq_connect(mailbox, argv[4]) < 0) {
        fail("could not connect");
    }
    printf("{\"event\":\"ready\",\"addresses\":[\"%s\"]}\n", endpoint);
    if (strcmp(role, "hear") == 0)
        hear();
    else if (strcmp(role, "echo") == 0)
        echo(atoi(argv[3]));
    else if (strcmp(role, "ping") == 0)
        ping();
    else
        send_all();
}
