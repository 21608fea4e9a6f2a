"""Writes art58.json, the Grafana dashboard of the receiver; `--check` tells whether the file is still what this writes.

Panel ids are part of the product (annotations are put on panel 3): never give one away again.
"""

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    GridPos,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from receiver.law.verdict import Verdict
from receiver.law.wording import VERDICTS as VERDICTS_IN_WORDS

DASHBOARD_FILE = Path(__file__).with_name("art58.json")
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

# Several processes may show the same database: `max by` before any sum, so that nothing counts twice.
OPEN_INCIDENTS = 'max by (state) (art58_incidents{state=~"open|recovering"})'
VERDICTS = "max by (incident, service, verdict) (art58_impact_verdict) == 1"
AFFECTED_USERS = "max by (incident, service, method, measured) (art58_impact_affected_users)"
USERS_THRESHOLD = "max by (incident, service) (art58_impact_users_threshold)"
FAILURE_STARTED = "min by (incident, service) (art58_impact_failure_started_timestamp_seconds) * 1000"
MAJOR_AT = "min by (incident, service) (art58_impact_major_timestamp_seconds) * 1000"
TIME_TO_MAJOR = "min by (incident, service) (art58_impact_major_timestamp_seconds) - time()"
USERS_UNDER_FAILED_EQUIPMENT = "sum by (service, unit) (art58:users_under_equipment and on (equipment) art58:equipment_up == 0)"
USERS_UNABLE = "sum by (service, unit) (art58:users_unable)"
DELIVERIES = 'max by (target, state) (art58_deliveries{state=~"owed|claimed|dead"})'
TICK_AGE = "time() - max(art58_tick_last_timestamp_seconds)"
JUDGING = "sum(art58_leader)"
WAITING = "max(art58_notifications_waiting)"
INTAKE = "sum by (source, outcome) (rate(art58_notifications_total[$__rate_interval]))"
QUERIES = "sum by (outcome) (rate(art58_queries_total[$__rate_interval]))"
TICK_DURATION = "histogram_quantile(0.95, sum by (le) (rate(art58_tick_seconds_bucket[$__rate_interval])))"

VERDICT_COLORS = {
    Verdict.MAJOR: "red",
    Verdict.NEAR_MISS: "orange",
    Verdict.PERIODIC: "yellow",
    Verdict.NONE: "green",
    Verdict.INDETERMINATE: "purple",
}


def query(expr: str, ref_id: str = "A") -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(DATASOURCE).expr(expr).ref_id(ref_id)


def over_time(expr: str, legend: str, ref_id: str = "A") -> prometheus.Dataquery:
    return query(expr, ref_id).range().legend_format(legend)


def now(expr: str, legend: str = "") -> prometheus.Dataquery:
    return query(expr).instant().legend_format(legend)


def row_of_table(expr: str, ref_id: str = "A") -> prometheus.Dataquery:
    return query(expr, ref_id).instant().format(PromQueryFormat.TABLE)


def steps(*levels: tuple[float | None, str]) -> dashboard.ThresholdsConfig:
    thresholds = [Threshold(value=value, color=color) for value, color in levels]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(thresholds)


def at(x: int, y: int, width: int, height: int) -> GridPos:
    return GridPos(x=x, y=y, w=width, h=height)


def stat_panel(panel_id: int, title: str, place: GridPos) -> stat.Panel:
    return (
        stat.Panel()
        .id(panel_id)
        .title(title)
        .grid_pos(place)
        .datasource(DATASOURCE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.BACKGROUND)
    )


def table_panel(panel_id: int, title: str, place: GridPos, columns: dict[str, str]) -> table.Panel:
    """A table with one row for each impact; `columns` maps the fields of the answer to headings, in order."""
    organise = {
        "excludeByName": {"Time": True, "Value": True},
        "indexByName": {field: index for index, field in enumerate(columns)},
        "renameByName": columns,
    }
    return (
        table.Panel()
        .id(panel_id)
        .title(title)
        .grid_pos(place)
        .datasource(DATASOURCE)
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(DataTransformerConfig(id_val="organize", options=organise))
    )


def graph_panel(panel_id: int, title: str, place: GridPos, unit: str) -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    return (
        timeseries.Panel()
        .id(panel_id)
        .title(title)
        .grid_pos(place)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .fill_opacity(10)
        .legend(legend.show_legend(True))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )


def open_incidents() -> stat.Panel:
    return (
        stat_panel(1, "発生中の事故 / Open incidents", at(0, 1, 6, 7))
        .description("open: 発生中 / failing now. recovering: 復旧後の経過観察 / restored, being watched.")
        .with_target(now(OPEN_INCIDENTS, "{{state}}"))
        .text_mode(BigValueTextMode.VALUE_AND_NAME)
        .thresholds(steps((None, "green"), (1, "red")))
    )


def verdicts() -> table.Panel:
    columns = {"incident": "事故 / Incident", "service": "役務 / Service", "verdict": "判定 / Verdict"}
    texts = {
        verdict.value: ValueMappingResult(text=f"{text.ja} / {text.en}", color=VERDICT_COLORS[verdict])
        for verdict, text in VERDICTS_IN_WORDS.items()
    }
    return (
        table_panel(2, "判定 / Verdicts", at(6, 1, 18, 7), columns)
        .description("受信機は可能性を示すのみで、該当するか否かは人が判断する。 / A person decides.")
        .no_value("発生中の事故なし / No open incident")
        .with_target(row_of_table(VERDICTS))
        .override_by_name(
            columns["verdict"],
            [
                DynamicConfigValue(id_val="mappings", value=[ValueMap(options=texts)]),
                DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
                DynamicConfigValue(id_val="custom.width", value=760),
            ],
        )
    )


def users_against_threshold() -> timeseries.Panel:
    dashed = [
        DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [10, 10]}),
        DynamicConfigValue(id_val="custom.fillOpacity", value=0),
        DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": "red"}),
    ]
    return (
        graph_panel(3, "影響利用者数と基準 / Users against the threshold", at(0, 8, 14, 10), "locale")
        .description("破線は最も近い条件の利用者数。 / Dashed: the users of the nearest condition.")
        .with_target(over_time(AFFECTED_USERS, "{{service}} {{incident}} ({{method}}, measured: {{measured}})"))
        .with_target(over_time(USERS_THRESHOLD, "基準 / threshold {{service}} {{incident}}", "B"))
        .override_by_query("B", dashed)
    )


def time_to_major() -> table.Panel:
    columns = {
        "incident": "事故 / Incident",
        "service": "役務 / Service",
        "Value #A": "発生 / Failed since",
        "Value #B": "基準到達 / Major at",
        "Value #C": "残り / Time left",
    }
    clock = [DynamicConfigValue(id_val="unit", value="dateTimeAsIso")]
    remaining = [
        DynamicConfigValue(id_val="unit", value="dtdurations"),
        DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
        DynamicConfigValue(
            id_val="thresholds", value=steps((None, "red"), (0, "orange"), (1800, "yellow"), (3600, "green")).build()
        ),
    ]
    return (
        table_panel(4, "重大基準までの時間 / Time to major", at(14, 8, 10, 10), columns)
        .description("負の値は基準到達からの経過。空欄は到達見込みなし。 / Negative: since then. Empty: not expected.")
        .with_target(row_of_table(FAILURE_STARTED, "A"))
        .with_target(row_of_table(MAJOR_AT, "B"))
        .with_target(row_of_table(TIME_TO_MAJOR, "C"))
        .override_by_name(columns["Value #A"], clock)
        .override_by_name(columns["Value #B"], clock)
        .override_by_name(columns["Value #C"], remaining)
    )


def users_under_failed_equipment() -> timeseries.Panel:
    return (
        graph_panel(5, "故障設備配下の利用者数 / Users under failed equipment", at(0, 19, 12, 9), "locale")
        .description("設備が重なれば重複して数える。 / A user under two failed pieces of equipment counts twice.")
        .with_target(over_time(USERS_UNDER_FAILED_EQUIPMENT, "{{service}} ({{unit}})"))
    )


def users_unable() -> timeseries.Panel:
    return graph_panel(6, "利用できない利用者数 / Users unable", at(12, 19, 12, 9), "locale").with_target(
        over_time(USERS_UNABLE, "{{service}} ({{unit}})")
    )


def tick_age() -> stat.Panel:
    return (
        stat_panel(7, "最終周期処理から / Tick age", at(0, 29, 4, 6))
        .with_target(now(TICK_AGE))
        .unit("dtdurations")
        .thresholds(steps((None, "green"), (60, "orange"), (120, "red")))
    )


def notifications_waiting() -> stat.Panel:
    return (
        stat_panel(8, "未処理の通知 / Notifications waiting", at(4, 29, 4, 6))
        .with_target(now(WAITING))
        .thresholds(steps((None, "green"), (100, "orange"), (1000, "red")))
    )


def deliveries() -> stat.Panel:
    return (
        stat_panel(9, "未送付・不達 / Deliveries owed or dead", at(8, 29, 12, 6))
        .description("owed: 未送信 / to be sent. claimed: 送信中 / being sent. dead: 断念 / given up.")
        .with_target(now(DELIVERIES, "{{target}} {{state}}"))
        .text_mode(BigValueTextMode.VALUE_AND_NAME)
        .thresholds(steps((None, "green"), (1, "orange")))
        .override_by_regexp(
            "/ dead$/",
            [DynamicConfigValue(id_val="thresholds", value=steps((None, "green"), (1, "red")).build())],
        )
    )


def judging() -> stat.Panel:
    return (
        stat_panel(13, "判定している受信機 / Receivers that judge", at(20, 29, 4, 6))
        .description("1が正常。1つの PostgreSQL を共有する受信機のうち1台だけが判定する。 / 1 of all that share a PostgreSQL.")
        .with_target(now(JUDGING))
        .thresholds(steps((None, "red"), (1, "green"), (2, "orange")))
    )


def intake() -> timeseries.Panel:
    return graph_panel(10, "通知の受信 / Intake", at(0, 35, 8, 8), "reqps").with_target(over_time(INTAKE, "{{source}} {{outcome}}"))


def queries() -> timeseries.Panel:
    return graph_panel(11, "問い合わせ / Queries", at(8, 35, 8, 8), "reqps").with_target(over_time(QUERIES, "{{outcome}}"))


def tick_duration() -> timeseries.Panel:
    return graph_panel(12, "周期処理の時間 / Tick duration", at(16, 35, 8, 8), "s").with_target(over_time(TICK_DURATION, "95%"))


def row(panel_id: int, title: str, y: int) -> dashboard.Row:
    return dashboard.Row(title).id(panel_id).grid_pos(GridPos(x=0, y=y, w=24, h=1))


def art58_annotations() -> dashboard.AnnotationQuery:
    """Grafana's own annotations with the tag art58, whichever dashboard they were put on."""
    tagged = dashboard.AnnotationTarget().type("tags").tags(["art58"]).match_any(False).limit(100)
    return (
        dashboard.AnnotationQuery()
        .name("第58条 / Article 58")
        .datasource(DataSourceRef(type_val="grafana", uid="-- Grafana --"))
        .enable(True)
        .hide(False)
        .icon_color("red")
        .target(tagged)
    )


def build() -> dashboard.Dashboard:
    return (
        dashboard.Dashboard("第58条 通信事故 / Article 58 outages")
        .uid("art58")
        .tags(["art58"])
        .timezone("Asia/Tokyo")
        .time("now-6h", "now")
        .refresh("30s")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .annotation(art58_annotations())
        .with_row(row(101, "事故の影響 / Impact", 0))
        .with_panel(open_incidents())
        .with_panel(verdicts())
        .with_panel(users_against_threshold())
        .with_panel(time_to_major())
        .with_row(row(102, "ネットワーク / Network", 18))
        .with_panel(users_under_failed_equipment())
        .with_panel(users_unable())
        .with_row(row(103, "受信機 / Receiver", 28))
        .with_panel(tick_age())
        .with_panel(notifications_waiting())
        .with_panel(deliveries())
        .with_panel(judging())
        .with_panel(intake())
        .with_panel(queries())
        .with_panel(tick_duration())
    )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="write nothing; exit 1 when art58.json has drifted")
    check = arguments.parse_args().check

    wanted = json.dumps(build().build(), cls=JSONEncoder, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    if not check:
        DASHBOARD_FILE.write_text(wanted, encoding="utf-8")
        return 0
    if DASHBOARD_FILE.exists() and DASHBOARD_FILE.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{DASHBOARD_FILE.name} has drifted: run {Path(__file__).name} again", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
