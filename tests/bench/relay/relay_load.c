/*
 * Load for the relay benchmark: N stations and the CSMS they talk to, in one process with one epoll loop.
 *
 *     relay_load FRONT_PORT BACK_PORT STATIONS
 *
 * FRONT_PORT: where stations connect (0: none, only be the CSMS). BACK_PORT: where the CSMS listens (0: none).
 * Commands come on stdin, one per line; each is answered by one line of JSON on stdout:
 *
 *     connect                 all stations at once; each boots; done when every boot is answered "Accepted"
 *     start                   each station starts a transaction
 *     saturate SECONDS        each station sends its next CALL when the last is answered (OCPP allows one in flight)
 *     rate PER_S SECONDS      fixed schedule over all stations; latency counts from the due time
 *     flood EACH SECONDS      each station sends EACH CALLs without waiting for answers
 *     stall / unstall         the CSMS stops / begins reading
 *     away / back             the CSMS closes everything and its port / listens again
 *     profiles COUNT SECONDS  waits until COUNT stations got a lower SetChargingProfile after this command
 *     idle SECONDS            just answers what comes
 *     drop                    every station's connection is reset
 *     quit
 *
 * The mix (HOTPATH 1): 70 % TransactionEvent of about 1190 bytes, 20 % Heartbeat, 10 % StatusNotification, ids of
 * 36 random characters, a random mask key per frame. Every answer's id is compared: "bad" counts what does not fit.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { STATION, CSMS, LISTENER, STDIN, TIMER };
enum { CONNECTING, UPGRADING, OPEN, GONE };
enum { QUIET, BOOT, START, SATURATE, RATE, FLOOD };

typedef struct conn {
    int fd, role, state, events, number, outstanding, booted, backlog, seq, profiled, shift;
    char id[37];
    double limit_a;
    uint64_t due_ns, next_due_ns, boot_ns, retry_ns, flood_left;
    unsigned char *in, *out;
    size_t in_len, in_room, out_len, out_room;
    struct conn *next;
} conn;

static int ep, timer_fd, listener_fd = -1, front_port, back_port, station_count, mode, stalled;
static conn *stations, *csms_conns, ears = {.role = LISTENER}, commands = {.role = STDIN}, alarm_clock = {.role = TIMER};
static uint64_t rng = 88172645463325252ULL, done_count, bad, lost, retries, missed, answered_boots, started, csms_calls, profile_count;
static uint64_t last_profile_ns, phase_ns, storm_ns;
static uint32_t *latency_us;
static size_t latency_count, latency_room;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static uint64_t rnd(void) {
    rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
    return rng;
}

static void *must(void *p) {
    if (!p) perror("memory"), exit(2);
    return p;
}

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static const char *clock_text(void) {
    static char text[32];
    static time_t last;
    time_t t = time(NULL);
    if (t != last) strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime(&t)), last = t;
    return text;
}

/* -- SHA-1 and base64, for the one handshake answer the CSMS gives ------------------------------------------ */

static uint32_t rol(uint32_t v, int n) { return v << n | v >> (32 - n); }

static void sha1(const unsigned char *data, size_t len, unsigned char out[20]) {
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0}, w[80];
    unsigned char block[128] = {0};
    size_t total = len + 9 <= 64 ? 64 : 128;
    memcpy(block, data, len);
    block[len] = 0x80;
    for (int i = 0; i < 8; i++) block[total - 1 - i] = (unsigned char)((uint64_t)len * 8 >> (8 * i));
    for (size_t at = 0; at < total; at += 64) {
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)block[at + 4 * i] << 24 | block[at + 4 * i + 1] << 16 | block[at + 4 * i + 2] << 8 | block[at + 4 * i + 3];
        for (int i = 16; i < 80; i++) w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
            uint32_t k = i < 20 ? 0x5A827999 : i < 40 ? 0x6ED9EBA1 : i < 60 ? 0x8F1BBCDC : 0xCA62C1D6;
            uint32_t t = rol(a, 5) + f + e + k + w[i];
            e = d, d = c, c = rol(b, 30), b = a, a = t;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const unsigned char *data, size_t len, char *out) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v = (uint32_t)data[i] << 16 | (i + 1 < len ? data[i + 1] << 8 : 0) | (i + 2 < len ? data[i + 2] : 0);
        *out++ = letters[v >> 18 & 63], *out++ = letters[v >> 12 & 63];
        *out++ = i + 1 < len ? letters[v >> 6 & 63] : '=', *out++ = i + 2 < len ? letters[v & 63] : '=';
    }
    *out = 0;
}

/* -- sockets ------------------------------------------------------------------------------------------------ */

static void watch(conn *c, int events) {
    struct epoll_event ev = {.events = (uint32_t)events, .data.ptr = c};
    if (c->events == events) return;
    if (epoll_ctl(ep, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev) < 0) fail("epoll_ctl");
    c->events = events;
}

static int wanted(conn *c) {
    int reading = c->role == CSMS && stalled && c->state == OPEN ? 0 : EPOLLIN;
    int writing = c->state == CONNECTING || c->out_len || c->flood_left ? EPOLLOUT : 0;
    return reading | writing | EPOLLRDHUP;
}

static void forget(conn *c, int reset) {
    struct linger hard = {1, 0};
    if (c->fd < 0) return;
    if (reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(c->fd);
    free(c->in), free(c->out);
    c->in = c->out = NULL, c->in_len = c->in_room = c->out_len = c->out_room = 0;
    c->fd = -1, c->state = GONE, c->events = 0, c->flood_left = 0;
}

static void ended(conn *c) {
    int was_open = c->state == OPEN;
    forget(c, 0);
    if (c->role != STATION) return;
    if (was_open) lost++;
    if (mode == BOOT) retries++, c->outstanding = 0, c->retry_ns = now_ns() + 500000000ULL + rnd() % 500000000ULL;
}

static void put(conn *c, const void *data, size_t len) {
    if (c->fd < 0) return;
    if (!c->out_len) {
        ssize_t sent = send(c->fd, data, len, MSG_NOSIGNAL);
        if (sent == (ssize_t)len) return;
        if (sent < 0 && errno != EAGAIN) return ended(c);
        if (sent > 0) data = (const char *)data + sent, len -= (size_t)sent;
    }
    if (c->out_len + len > c->out_room) c->out = must(realloc(c->out, c->out_room = (c->out_len + len) * 2));
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
    watch(c, wanted(c));
}

static void flush_out(conn *c) {
    ssize_t sent = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return ended(c);
    if (sent > 0) memmove(c->out, c->out + sent, c->out_len -= (size_t)sent);
}

static void frame(conn *c, int opcode, const char *text, size_t len) {
    unsigned char buffer[8192];
    size_t at = 2;
    int masked = c->role == STATION;
    if (len > sizeof buffer - 16) fail("frame too long");
    buffer[0] = (unsigned char)(0x80 | opcode);
    if (len < 126) buffer[1] = (unsigned char)len;
    else buffer[1] = 126, buffer[2] = (unsigned char)(len >> 8), buffer[3] = (unsigned char)len, at = 4;
    if (masked) {
        uint32_t key = (uint32_t)rnd();
        buffer[1] |= 0x80;
        memcpy(buffer + at, &key, 4);
        at += 4;
        for (size_t i = 0; i < len; i++) buffer[at + i] = (unsigned char)text[i] ^ buffer[at - 4 + i % 4];
    } else memcpy(buffer + at, text, len);
    put(c, buffer, at + len);
}

static void say(conn *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(conn *c, const char *format, ...) {
    char text[4096];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    frame(c, 1, text, (size_t)len);
}

/* -- stations ----------------------------------------------------------------------------------------------- */

static void fresh_id(char *id) {
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < 36; i += 12) {
        uint64_t bits = rnd();
        for (int k = 0; k < 12; k++) id[i + k] = hex[bits >> (4 * k) & 15];
    }
    id[8] = id[13] = id[18] = id[23] = '-', id[36] = 0;
}

static void event(conn *c, const char *kind, const char *trigger) {
    const char *t = clock_text();
    char token[80] = "";
    if (kind[0] == 'S') snprintf(token, sizeof token, "\"idToken\":{\"idToken\":\"AA%012d\",\"type\":\"ISO14443\"},", c->number);
    say(c,
        "[2,\"%s\",\"TransactionEvent\",{\"eventType\":\"%s\",\"timestamp\":\"%s\",\"triggerReason\":\"%s\",\"seqNo\":%d,\"offline\":false,"
        "\"numberOfPhasesUsed\":3,\"cableMaxCurrent\":32,\"transactionInfo\":{\"transactionId\":\"tx-%06d-0123456789abcdef01234567\","
        "\"chargingState\":\"Charging\",\"timeSpentCharging\":%d},\"evse\":{\"id\":1,\"connectorId\":1},%s"
        "\"meterValue\":[{\"timestamp\":\"%s\",\"sampledValue\":["
        "{\"value\":%d.5,\"context\":\"Sample.Periodic\",\"measurand\":\"Energy.Active.Import.Register\",\"unitOfMeasure\":{\"unit\":\"Wh\"}},"
        "{\"value\":4140.0,\"context\":\"Sample.Periodic\",\"measurand\":\"Power.Active.Import\",\"location\":\"Outlet\",\"unitOfMeasure\":{\"unit\":\"W\"}},"
        "{\"value\":6.01,\"context\":\"Sample.Periodic\",\"measurand\":\"Current.Import\",\"location\":\"Outlet\",\"phase\":\"L1\",\"unitOfMeasure\":{\"unit\":\"A\"}},"
        "{\"value\":5.98,\"context\":\"Sample.Periodic\",\"measurand\":\"Current.Import\",\"phase\":\"L2\",\"unitOfMeasure\":{\"unit\":\"A\"}},"
        "{\"value\":6.02,\"context\":\"Sample.Periodic\",\"measurand\":\"Current.Import\",\"phase\":\"L3\",\"unitOfMeasure\":{\"unit\":\"A\"}},"
        "{\"value\":63.0,\"context\":\"Sample.Periodic\",\"measurand\":\"SoC\",\"location\":\"EV\",\"unitOfMeasure\":{\"unit\":\"Percent\"}}]}]}]",
        c->id, kind, t, trigger, c->seq, c->number, c->seq, token, t, 1000 + c->seq);
    c->seq++;
}

static void call(conn *c, uint64_t due_ns) {
    fresh_id(c->id);
    c->outstanding++;
    c->due_ns = due_ns;
    started++;
    int turn = c->shift++ % 10;
    if (turn < 7) event(c, "Updated", "MeterValuePeriodic");
    else if (turn < 9) say(c, "[2,\"%s\",\"Heartbeat\",{}]", c->id);
    else
        say(c, "[2,\"%s\",\"StatusNotification\",{\"timestamp\":\"%s\",\"connectorStatus\":\"Occupied\",\"evseId\":1,\"connectorId\":1}]", c->id,
            clock_text());
}

static void boot(conn *c) {
    fresh_id(c->id);
    c->outstanding = 1;
    say(c,
        "[2,\"%s\",\"BootNotification\",{\"reason\":\"PowerUp\",\"chargingStation\":{\"vendorName\":\"Bench\",\"model\":\"Load\",\"serialNumber\":\"%06d\"}}]",
        c->id, c->number);
}

static void dial(conn *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)front_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->state = CONNECTING, c->retry_ns = 0, c->outstanding = 0, c->booted = 0;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) return ended(c);
    watch(c, wanted(c));
}

static void greet(conn *c) {
    char text[512];
    int len = snprintf(text, sizeof text,
        "GET /ocpp/ST%05d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp2.0.1\r\n\r\n",
        c->number, front_port);
    c->state = UPGRADING;
    put(c, text, (size_t)len);
}

static void remember_latency(uint64_t ns) {
    if (latency_count == latency_room) latency_us = must(realloc(latency_us, (latency_room = latency_room * 2 + 65536) * sizeof *latency_us));
    latency_us[latency_count++] = (uint32_t)(ns / 1000);
}

static void answered(conn *c, const char *text, size_t len) {
    uint64_t now = now_ns();
    if (mode == FLOOD) {
        done_count++;
        return;
    }
    if (!c->outstanding || len < 42 || memcmp(text + 4, c->id, 36) || (text[1] != '3')) {
        bad++;
        if (bad < 4) fprintf(stderr, "unexpected answer at ST%05d: %.160s\n", c->number, text);
        return;
    }
    c->outstanding = 0;
    if (mode == BOOT) {
        if (memmem(text, len, "Accepted", 8)) {
            if (!c->booted) answered_boots++, remember_latency(now - storm_ns);
            c->booted = 1;
        } else bad++;
        return;
    }
    done_count++;
    if (mode == SATURATE || mode == RATE) remember_latency(now - c->due_ns);
    if (mode == SATURATE) call(c, now);
    else if (mode == RATE && c->backlog) {
        c->backlog = 0;
        call(c, c->next_due_ns);
    }
}

/* A CALL to the station: what any charger that follows the specification would say. */
static void asked(conn *c, char *text, size_t len) {
    char id[40] = "";
    char *end = len > 4 ? memchr(text + 4, '"', len - 4) : NULL;
    if (!end || end - text - 4 > 36) {
        bad++;
        return;
    }
    memcpy(id, text + 4, (size_t)(end - text - 4));
    text[len] = 0;
    if (strstr(end, "\"SetChargingProfile\"")) {
        char *limit = strstr(end, "\"limit\":");
        double before_a = c->limit_a;
        if (limit) c->limit_a = atof(limit + 8);
        if (!c->profiled && c->limit_a < before_a) c->profiled = 1, profile_count++, last_profile_ns = now_ns();
        say(c, "[3,\"%s\",{\"status\":\"Accepted\"}]", id);
    } else if (strstr(end, "\"GetCompositeSchedule\""))
        say(c,
            "[3,\"%s\",{\"status\":\"Accepted\",\"schedule\":{\"evseId\":1,\"duration\":300,\"scheduleStart\":\"%s\",\"chargingRateUnit\":\"A\","
            "\"chargingSchedulePeriod\":[{\"startPeriod\":0,\"limit\":%.1f}]}}]",
            id, clock_text(), c->limit_a);
    else say(c, "[3,\"%s\",{\"status\":\"Accepted\"}]", id);
}

/* -- CSMS --------------------------------------------------------------------------------------------------- */

static void csms_answers(conn *c, char *text, size_t len) {
    char id[40];
    if (len < 44 || text[1] != '2' || text[40] != '"') { /* Yardmaster's own ids are shorter */
        char *end = len > 4 ? memchr(text + 4, '"', len - 4) : NULL;
        if (text[1] != '2' || !end || end - text - 4 > 36) return;
        snprintf(id, sizeof id, "%.*s", (int)(end - text - 4), text + 4);
        text = end;
    } else memcpy(id, text + 4, 36), id[36] = 0, text += 40;
    csms_calls++;
    text += 3;
    if (!strncmp(text, "Heartbeat", 9)) say(c, "[3,\"%s\",{\"currentTime\":\"%s\"}]", id, clock_text());
    else if (!strncmp(text, "BootNotification", 16))
        say(c, "[3,\"%s\",{\"currentTime\":\"%s\",\"interval\":300,\"status\":\"Accepted\"}]", id, clock_text());
    else say(c, "[3,\"%s\",{}]", id);
}

static void listen_csms(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)back_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    listener_fd = ears.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener_fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener_fd, 4096) < 0) fail("listen");
    ears.events = 0;
    watch(&ears, EPOLLIN);
}

static void welcome(void) {
    for (;;) {
        int one = 1, fd = accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        conn *c = must(calloc(1, sizeof *c));
        c->fd = fd, c->role = CSMS, c->state = UPGRADING, c->next = csms_conns, csms_conns = c;
        watch(c, wanted(c));
    }
}

static void csms_goes(void) {
    if (listener_fd >= 0) close(listener_fd), listener_fd = -1;
    for (conn *c = csms_conns; c; c = c->next) forget(c, 0);
}

static void sweep_csms(void) {
    for (conn **at = &csms_conns; *at;) {
        conn *c = *at;
        if (c->fd < 0) *at = c->next, free(c);
        else at = &c->next;
    }
}

static void upgrade(conn *c, char *head) {
    char key[128] = "", joined[200], accept[40], text[512];
    unsigned char digest[20];
    char *line = strcasestr(head, "sec-websocket-key:");
    if (!line || sscanf(line + 18, " %100[^\r\n ]", key) != 1) return ended(c);
    snprintf(joined, sizeof joined, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1((unsigned char *)joined, strlen(joined), digest);
    base64(digest, 20, accept);
    int len = snprintf(text, sizeof text,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
        "Sec-WebSocket-Protocol: ocpp2.0.1\r\n\r\n",
        accept);
    c->state = OPEN;
    put(c, text, (size_t)len);
}

/* -- frames ------------------------------------------------------------------------------------------------- */

static void received(conn *c, int opcode, char *text, size_t len) {
    if (opcode == 9) return frame(c, 10, text, len);
    if (opcode == 8) return ended(c);
    if (opcode != 1 || len < 4) return;
    if (c->role == CSMS) return csms_answers(c, text, len);
    if (text[1] == '2') return asked(c, text, len);
    answered(c, text, len);
}

static size_t take_head(conn *c) {
    c->in[c->in_len] = 0;
    char *end = strstr((char *)c->in, "\r\n\r\n");
    if (!end) return 0;
    size_t used = (size_t)(end - (char *)c->in) + 4;
    if (c->role == CSMS) {
        upgrade(c, (char *)c->in);
        return used;
    }
    if (strncmp((char *)c->in, "HTTP/1.1 101", 12)) {
        if (bad++ < 4) fprintf(stderr, "ST%05d refused: %.60s\n", c->number, (char *)c->in);
        ended(c);
        return 0;
    }
    c->state = OPEN;
    watch(c, wanted(c));
    if (mode == BOOT) boot(c);
    return used;
}

static size_t take_frame(conn *c, size_t at) {
    unsigned char *p = c->in + at;
    size_t have = c->in_len - at, head = 2, len;
    if (have < 2) return 0;
    len = p[1] & 127;
    if (len == 126) {
        if (have < 4) return 0;
        len = (size_t)p[2] << 8 | p[3], head = 4;
    } else if (len == 127) {
        if (have < 10) return 0;
        head = 10, len = 0;
        for (int i = 2; i < 10; i++) len = len << 8 | p[i];
    }
    unsigned char *key = p + head;
    if (p[1] & 128) head += 4;
    if (have < head + len) return 0;
    if (p[1] & 128)
        for (size_t i = 0; i < len; i++) p[head + i] ^= key[i % 4];
    unsigned char after = p[head + len]; /* there is always one byte of room */
    p[head + len] = 0;
    received(c, p[0] & 15, (char *)p + head, len);
    if (c->fd >= 0) p[head + len] = after;
    return head + len;
}

static void readable(conn *c) {
    if (c->in_room < 4096) c->in = must(realloc(c->in, (c->in_room = 4096) + 1));
    if (c->in_room - c->in_len < 2048) c->in = must(realloc(c->in, (c->in_room *= 2) + 1));
    ssize_t got = recv(c->fd, c->in + c->in_len, c->in_room - c->in_len, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return ended(c);
    if (got < 0) return;
    c->in_len += (size_t)got;
    size_t at = 0, used;
    if (c->state == UPGRADING) {
        at = take_head(c);
        if (c->state != OPEN) return;
    }
    while (c->fd >= 0 && (used = take_frame(c, at))) at += used;
    if (c->fd >= 0) memmove(c->in, c->in + at, c->in_len -= at);
}

static void writable(conn *c) {
    if (c->state == CONNECTING) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) return ended(c);
        greet(c);
    } else if (c->out_len) flush_out(c);
    for (int burst = 0; burst < 16 && c->fd >= 0 && c->flood_left && !c->out_len; burst++) c->flood_left--, call(c, now_ns());
    if (c->fd >= 0) watch(c, wanted(c));
}

/* -- phases ------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) { return (*(const uint32_t *)a > *(const uint32_t *)b) - (*(const uint32_t *)a < *(const uint32_t *)b); }

static double quantile_us(double q) {
    return latency_count ? latency_us[(size_t)((double)(latency_count - 1) * q)] : 0;
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static double phase_cpu_s;

static void begin(int new_mode) {
    mode = new_mode;
    done_count = bad = lost = retries = missed = answered_boots = started = csms_calls = latency_count = profile_count = 0;
    phase_ns = now_ns(), phase_cpu_s = cpu_s();
}

static void report(const char *name) {
    double seconds = (double)(now_ns() - phase_ns) / 1e9;
    uint64_t open = 0;
    for (int i = 0; i < station_count; i++) open += stations[i].state == OPEN;
    qsort(latency_us, latency_count, sizeof *latency_us, by_value);
    printf("{\"phase\":\"%s\",\"seconds\":%.4f,\"done\":%lu,\"started\":%lu,\"bad\":%lu,\"lost\":%lu,\"retries\":%lu,\"missed\":%lu,\"boots\":%lu,"
           "\"csms_calls\":%lu,\"profiles\":%lu,\"last_profile_s\":%.4f,\"open\":%lu,\"p50_us\":%.0f,\"p90_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f,"
           "\"generator_busy\":%.3f}\n",
           name, seconds, done_count, started, bad, lost, retries, missed, answered_boots, csms_calls, profile_count,
           profile_count ? (double)(last_profile_ns - phase_ns) / 1e9 : 0.0, open, quantile_us(.5), quantile_us(.9), quantile_us(.99), quantile_us(1),
           (cpu_s() - phase_cpu_s) / (seconds > 0 ? seconds : 1));
    fflush(stdout);
}

static void set_timer(uint64_t at_ns) {
    struct itimerspec when = {.it_value = {(time_t)(at_ns / 1000000000ULL), (long)(at_ns % 1000000000ULL)}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/*
 * A sender pays for waking a sleeping receiver, in a virtual machine 10 us and more: a slow proxy would be charged for
 * our idling, a fast one not. So under saturation we sleep by the clock, while answers gather.
 */
static void gather(int count) {
    struct timespec nap = {0, 100000};
    if (mode == SATURATE && count < 16) nanosleep(&nap, NULL);
}

static int turn(int timeout_ms) {
    struct epoll_event events[512];
    int count = epoll_wait(ep, events, 512, timeout_ms), heard = 0;
    gather(count);
    for (int i = 0; i < count; i++) {
        conn *c = events[i].data.ptr;
        if (c->role == STDIN) heard = 1;
        else if (c->role == LISTENER) welcome();
        else if (c->role == TIMER) {
            uint64_t expired;
            if (read(timer_fd, &expired, sizeof expired) < 0 && errno != EAGAIN) fail("timer");
        } else if (c->fd >= 0) {
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) {
                if (c->role == CSMS && stalled && c->state == OPEN && !(events[i].events & (EPOLLHUP | EPOLLERR))) {
                    if (events[i].events & EPOLLRDHUP) ended(c);
                } else if (c->state == CONNECTING && events[i].events & (EPOLLHUP | EPOLLERR)) ended(c);
                else if (c->state != CONNECTING) readable(c);
            }
            if (c->fd >= 0 && events[i].events & EPOLLOUT) writable(c);
        }
    }
    static int turns;
    if (++turns % 4096 == 0) sweep_csms(); /* here nothing points at them */
    return heard;
}

static void redial(uint64_t now) {
    for (int i = 0; i < station_count; i++)
        if (stations[i].state == GONE && (!stations[i].retry_ns || stations[i].retry_ns <= now)) dial(&stations[i]);
}

static void connect_all(double within_s) {
    begin(BOOT);
    storm_ns = now_ns();
    uint64_t end = storm_ns + (uint64_t)(within_s * 1e9), checked = 0, now;
    while ((now = now_ns()) < end && answered_boots < (uint64_t)station_count) {
        if (now - checked > 20000000ULL) redial(now), checked = now;
        turn(20);
    }
    report("connect");
    mode = QUIET;
}

static void start_all(void) {
    begin(START);
    for (int i = 0; i < station_count; i++) {
        fresh_id(stations[i].id);
        stations[i].outstanding = 1;
        event(&stations[i], "Started", "CablePluggedIn");
    }
    uint64_t end = phase_ns + 30000000000ULL;
    while (now_ns() < end && done_count < (uint64_t)station_count) turn(20);
    report("start");
    mode = QUIET;
}

static void settle(void) {
    uint64_t end = now_ns() + 5000000000ULL;
    for (;;) {
        int busy = 0;
        for (int i = 0; i < station_count; i++) busy |= stations[i].fd >= 0 && stations[i].outstanding;
        if (!busy || now_ns() > end) break;
        turn(10);
    }
    for (int i = 0; i < station_count; i++) stations[i].outstanding = stations[i].backlog = 0;
}

static void saturate(double seconds) {
    begin(SATURATE);
    uint64_t end = phase_ns + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < station_count; i++)
        if (stations[i].state == OPEN) call(&stations[i], now_ns());
    while (now_ns() < end) turn(20);
    report("saturate");
    mode = START; /* answers still count, nothing follows */
    settle();
    mode = QUIET;
}

static void rate(double per_s, double seconds) {
    begin(RATE);
    uint64_t total = (uint64_t)(per_s * seconds), sent = 0;
    double gap_ns = 1e9 / per_s;
    while (sent < total) {
        uint64_t now = now_ns(), due;
        while (sent < total && (due = phase_ns + (uint64_t)((double)sent * gap_ns)) <= now) {
            conn *c = &stations[sent++ % (uint64_t)station_count];
            if (c->state != OPEN) missed++;
            else if (!c->outstanding) call(c, due);
            else if (!c->backlog) c->backlog = 1, c->next_due_ns = due;
            else missed++;
        }
        set_timer(phase_ns + (uint64_t)((double)sent * gap_ns));
        turn(20);
    }
    settle();
    report("rate");
    mode = QUIET;
}

static void flood(uint64_t each, double seconds) {
    begin(FLOOD);
    for (int i = 0; i < station_count; i++)
        if (stations[i].state == OPEN) stations[i].flood_left = each, watch(&stations[i], wanted(&stations[i]));
    uint64_t end = phase_ns + (uint64_t)(seconds * 1e9), all = each * (uint64_t)station_count;
    while (now_ns() < end && done_count < all) turn(20);
    for (int i = 0; i < station_count; i++) stations[i].flood_left = 0, stations[i].outstanding = 0;
    report("flood");
}

static void wait_profiles(uint64_t count, double seconds) {
    begin(QUIET);
    for (int i = 0; i < station_count; i++) stations[i].profiled = 0;
    printf("{\"phase\":\"watching\"}\n"), fflush(stdout);
    uint64_t end = phase_ns + (uint64_t)(seconds * 1e9);
    while (now_ns() < end && profile_count < count) turn(20);
    report("profiles");
}

static void idle(double seconds) {
    begin(QUIET);
    uint64_t end = phase_ns + (uint64_t)(seconds * 1e9);
    while (now_ns() < end) turn(50);
    report("idle");
}

static void set_stalled(int on) {
    begin(mode == FLOOD ? FLOOD : QUIET);
    stalled = on;
    for (conn *c = csms_conns; c; c = c->next)
        if (c->fd >= 0) watch(c, wanted(c));
    report(on ? "stall" : "unstall");
}

static void drop_all(void) {
    begin(QUIET);
    for (int i = 0; i < station_count; i++) forget(&stations[i], 1), stations[i].retry_ns = 0;
    report("drop");
}

static void obey(char *line) {
    double a = 0, b = 0;
    char verb[32] = "";
    sscanf(line, "%31s %lf %lf", verb, &a, &b);
    if (!strcmp(verb, "connect")) connect_all(a > 0 ? a : 120);
    else if (!strcmp(verb, "start")) start_all();
    else if (!strcmp(verb, "saturate")) saturate(a);
    else if (!strcmp(verb, "rate")) rate(a, b);
    else if (!strcmp(verb, "flood")) flood((uint64_t)a, b);
    else if (!strcmp(verb, "stall")) set_stalled(1);
    else if (!strcmp(verb, "unstall")) set_stalled(0);
    else if (!strcmp(verb, "profiles")) wait_profiles((uint64_t)a, b);
    else if (!strcmp(verb, "idle")) idle(a);
    else if (!strcmp(verb, "drop")) drop_all();
    else if (!strcmp(verb, "away")) begin(QUIET), csms_goes(), report("away");
    else if (!strcmp(verb, "back")) begin(QUIET), listen_csms(), report("back");
    else if (!strcmp(verb, "quit")) exit(0);
    else fprintf(stderr, "unknown command %s\n", verb), exit(2);
}

int main(int argc, char **argv) {
    struct rlimit files;
    if (argc != 4) return fprintf(stderr, "usage: relay_load FRONT_PORT BACK_PORT STATIONS\n"), 2;
    front_port = atoi(argv[1]), back_port = atoi(argv[2]), station_count = atoi(argv[3]);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    rng ^= now_ns();
    ep = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = alarm_clock.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    watch(&alarm_clock, EPOLLIN);
    watch(&commands, EPOLLIN);
    stations = must(calloc((size_t)station_count + 1, sizeof *stations));
    for (int i = 0; i < station_count; i++) stations[i].fd = -1, stations[i].state = GONE, stations[i].number = i + 1, stations[i].shift = i, stations[i].seq = 1;
    if (back_port) listen_csms();
    printf("{\"phase\":\"ready\"}\n"), fflush(stdout);
    for (;;) {
        static char line[256];
        static size_t len;
        if (!turn(1000)) continue;
        ssize_t got = read(0, line + len, sizeof line - 1 - len);
        if (got <= 0) return 0; /* whoever started us is gone */
        len += (size_t)got;
        line[len] = 0;
        for (char *end; (end = strchr(line, '\n'));) {
            char one[256];
            *end = 0;
            strcpy(one, line);
            memmove(line, end + 1, len -= (size_t)(end + 1 - line));
            line[len] = 0;
            obey(one);
        }
    }
}
