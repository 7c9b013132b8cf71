// A zgossip actor of czmq that a test talks to: gossip bind|connect ENDPOINT. A line `KEY VALUE` on stdin is published; each
// tuple that the actor delivers is a line of JSON on stdout, after one that says it is ready. It ends with its input.

#include <czmq.h>

int
main (int argc, char *argv [])
{
    if (argc != 3 || !(streq (argv [1], "bind") || streq (argv [1], "connect"))) {
        fprintf (stderr, "gossip bind|connect ENDPOINT\n");
        return 2;
    }
    setvbuf (stdin, NULL, _IONBF, 0);
    setvbuf (stdout, NULL, _IOLBF, 0);
    zactor_t *gossip = zactor_new (zgossip, "test");
    if (streq (argv [1], "bind")) {
        zstr_sendx (gossip, "BIND", argv [2], NULL);
        // A port of its own choice is told; the actor answers once it has bound.
        zstr_send (gossip, "PORT");
        char *command = NULL, *port = NULL;
        zstr_recvx (gossip, &command, &port, NULL);
        printf ("{\"event\":\"ready\",\"port\":%s}\n", port);
        zstr_free (&command);
        zstr_free (&port);
    }
    else {
        zstr_sendx (gossip, "CONNECT", argv [2], NULL);
        puts ("{\"event\":\"ready\"}");
    }
    int input = 0;
    zpoller_t *poller = zpoller_new (gossip, &input, NULL);
    for (;;) {
        void *which = zpoller_wait (poller, -1);
        if (which == gossip) {
            char *command = NULL, *key = NULL, *value = NULL;
            if (zstr_recvx (gossip, &command, &key, &value, NULL) < 3)
                break;
            printf ("{\"event\":\"deliver\",\"key\":\"%s\",\"value\":\"%s\"}\n", key, value);
            zstr_free (&command);
            zstr_free (&key);
            zstr_free (&value);
        }
        else {
            char line [4096], key [256], value [3800];
            if (which == NULL || fgets (line, sizeof line, stdin) == NULL)
                break;
            if (sscanf (line, "%255s %3799s", key, value) == 2)
                zstr_sendx (gossip, "PUBLISH", key, value, NULL);
        }
    }
    zpoller_destroy (&poller);
    zactor_destroy (&gossip);
    return 0;
}
