// A SUB or XPUB of libzmq that a test talks to: log sub|xpub bind|connect ENDPOINT. What comes is a line of JSON on stdout, with
// its octets in hexadecimal digits, after one that says where it is. A line on stdin is sent by an XPUB; a SUB subscribes to what
// is behind a +, and cancels what is behind a -. It ends with its input.

#include <stdio.h>
#include <string.h>
#include <zmq.h>

static size_t
s_octets (const char *hex, unsigned char *octets)
{
    size_t size = 0;
    unsigned int octet;
    while (sscanf (hex + 2 * size, "%2x", &octet) == 1)
        octets [size++] = (unsigned char) octet;
    return size;
}

int
main (int argc, char *argv [])
{
    if (argc != 4) {
        fprintf (stderr, "log sub|xpub bind|connect ENDPOINT\n");
        return 2;
    }
    setvbuf (stdin, NULL, _IONBF, 0);
    setvbuf (stdout, NULL, _IOLBF, 0);
    int is_sub = strcmp (argv [1], "sub") == 0, zero = 0, one = 1;
    void *context = zmq_ctx_new ();
    void *socket = zmq_socket (context, is_sub ? ZMQ_SUB : ZMQ_XPUB);
    zmq_setsockopt (socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt (socket, ZMQ_SNDHWM, &zero, sizeof zero);
    zmq_setsockopt (socket, ZMQ_RCVHWM, &zero, sizeof zero);
    if (!is_sub)
        zmq_setsockopt (socket, ZMQ_XPUB_VERBOSER, &one, sizeof one);
    int rc = strcmp (argv [2], "bind") == 0 ? zmq_bind (socket, argv [3])
                                            : zmq_connect (socket, argv [3]);
    if (rc != 0) {
        fprintf (stderr, "%s: %s\n", argv [3], zmq_strerror (zmq_errno ()));
        return 1;
    }
    char endpoint [256];
    size_t endpoint_size = sizeof endpoint;
    zmq_getsockopt (socket, ZMQ_LAST_ENDPOINT, endpoint, &endpoint_size);
    printf ("{\"event\":\"ready\",\"endpoint\":\"%s\"}\n", endpoint);
    static unsigned char octets [65536];
    static char line [2 * sizeof octets + 3];
    for (;;) {
        zmq_pollitem_t items [] = {{socket, 0, ZMQ_POLLIN, 0}, {NULL, 0, ZMQ_POLLIN, 0}};
        if (zmq_poll (items, 2, -1) < 0)
            break;
        if (items [0].revents & ZMQ_POLLIN) {
            int size = zmq_recv (socket, octets, sizeof octets, 0);
            printf ("{\"event\":\"message\",\"hex\":\"");
            for (int index = 0; index < size; index++)
                printf ("%02x", octets [index]);
            printf ("\"}\n");
        }
        if (items [1].revents) {
            if (fgets (line, sizeof line, stdin) == NULL)
                break;
            if (is_sub) {
                size_t size = s_octets (line + 1, octets);
                int option = line [0] == '+' ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE;
                zmq_setsockopt (socket, option, octets, size);
            }
            else
                zmq_send (socket, octets, s_octets (line, octets), 0);
        }
    }
    zmq_close (socket);
    zmq_ctx_term (context);
    return 0;
}
