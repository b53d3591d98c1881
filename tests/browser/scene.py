"""A fleet that could be somebody's, made up: for pictures of the pages."""

from __future__ import annotations

from collections.abc import Callable

from agent.sim.cpe.model_files import load_model
from tests.browser.ground import Ground
from tests.store.farm import rows, serial_of

MODEMS = 12
DEVICES = 14
SAMPLES = 360
"""Of each modem, one for every five minutes."""
OPERATORS = ("Telekom.de", "vodafone.de", "o2-de")
TROUBLES = {
    4: ("degraded", "the probe through the modem fails"),
    7: ("quarantined", "too many recoveries: 6 in the last hour"),
    9: ("searching", ""),
    11: ("sim_blocked", "the SIM asks for its PUK"),
}
FAULTS = (
    ("9005", "Invalid parameter name"),
    ("9002", "Internal error"),
    ("9010", "Download failure: the file cannot be reached"),
)


def prepare(database_url: str) -> Callable[[], None]:
    """Modems with a past of 30 hours, before anything runs."""

    def make() -> None:
        for number in range(1, MODEMS + 1):
            status, reason = TROUBLES.get(number, ("online", ""))
            rows(
                database_url,
                "UPDATE modems SET status = %s, reason = %s, operator = %s, rsrp_dbm = %s, rsrq_db = %s, sinr_db = %s,"
                " rssi_dbm = %s, wan_address = %s,"
                " first_seen = now() - interval '40 days', changed_at = now() - make_interval(mins => %s),"
                " proxy_running = %s WHERE serial = %s",
                *(status, reason, OPERATORS[number % 3], -84 - number * 2.5, -8 - number % 5, 18 - number * 1.4),
                *(
                    -58 - number,
                    f"100.{64 + number}.{number * 7 % 250}.{number * 31 % 250}" if status == "online" else None,
                ),
                *(number * 37, status in ("online", "degraded")),
                serial_of(number),
            )
        rows(
            database_url,
            """
            INSERT INTO modem_samples (serial, at, status, access_technology, rssi_dbm, rsrp_dbm, rsrq_db, sinr_db,
                rx_bytes, tx_bytes)
            SELECT serial, at, 'online', 'lte', -60 - n, -84 - n * 2.5 + 3 * sin(turn / 9.0 + n),
                -9 - n / 3.0 + sin(turn / 4.0), 16 - n + 3 * sin(turn / 7.0 + n),
                sum(down) OVER past, sum(down / 9) OVER past
            FROM (SELECT serial, row_number() OVER (ORDER BY serial) AS n FROM modems) AS known,
                LATERAL (SELECT turn, now() - make_interval(mins => 5 * (%s - turn)) AS at,
                        -- Less at night, never the same twice.
                        (60e6 * (1.3 + sin(turn / 46.0 + n / 9.0)) * (0.5 + abs(sin(turn * n * 1.7))))::bigint AS down
                    FROM generate_series(1, %s) AS turn) AS moments
            WINDOW past AS (PARTITION BY serial ORDER BY at)
            ON CONFLICT DO NOTHING
            """,
            *(SAMPLES, SAMPLES),
        )
        rows(
            database_url,
            """
            UPDATE modems SET (rx_bytes, tx_bytes) = (SELECT max(modem_samples.rx_bytes), max(modem_samples.tx_bytes)
                FROM modem_samples WHERE modem_samples.serial = modems.serial)
            """,
        )
        rows(
            database_url,
            "SELECT write_modem_history(array_agg(serial), now() - interval '30 hours', now()) FROM modems",
        )
        rows(
            database_url,
            "INSERT INTO address_history (serial, address, valid_from, valid_until) SELECT serial,"
            " ('100.64.' || day || '.' || (day * 37 % 250))::inet, now() - make_interval(days => day + 1),"
            " now() - make_interval(days => day) FROM modems, generate_series(1, 6) AS day",
        )
        rows(
            database_url,
            "INSERT INTO modem_logs (host, serial, at, channel, command, response, outcome, duration_seconds)"
            " SELECT host, serial, now() - make_interval(secs => 7 * n), 'at', command, response, 'ok', 0.02"
            " FROM modems,"
            " (VALUES (1, 'AT+CSQ', '+CSQ: 21,99'), (2, 'AT+CEREG?', '+CEREG: 2,1,\"4E2F\",\"01A2B3C4\",7'),"
            ' (3, \'AT+QENG="servingcell"\', \'+QENG: "servingcell","NOCONN","LTE","FDD",262,01,1A2B3C4,120,1300,3\'),'
            " (4, 'AT+COPS?', '+COPS: 0,0,\"Telekom.de\",7')) AS said (n, command, response)",
        )

    return make


def populate(ground: Ground) -> str:
    """Devices that have told everything, tasks, faults and files; the serial number of one that is worth a look."""
    tr098, tr181 = load_model("tr098"), load_model("tr181")
    cpes = [ground.meet(model=tr181 if number % 3 == 2 else tr098) for number in range(DEVICES)]
    ids = [str(found[0]) for found in ground.rows("SELECT device_id FROM devices ORDER BY id")]
    for number, device_id in enumerate(ids):
        tags = ["berlin" if number % 2 else "hamburg", *(["pilot"] if number % 5 == 0 else [])]
        for tag in tags:
            ground.rows(
                "INSERT INTO device_tags (device_id, tag) SELECT id, %s FROM devices WHERE device_id = %s",
                tag,
                device_id,
            )
    for number, (code, text) in enumerate(FAULTS):
        ground.rows(
            "INSERT INTO faults (device_id, channel, code, message, at, retry_at) SELECT id, %s, %s, %s,"
            " now() - make_interval(mins => %s), now() + interval '5 minutes' FROM devices WHERE device_id = %s",
            *("discovery", code, text, 11 * number + 3, ids[number + 2]),
        )
    return cpes[0].serial_number
