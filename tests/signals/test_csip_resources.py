"""Resources as other servers write them: full, bare, with prefixes, and wrong. Element names and defaults are those of sep.xsd (2018)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals import csip_resources as resources
from signals.csip_modes import Modes, Power
from signals.csip_xml import NAMESPACE, XmlError

AUS = 'xmlns:csipaus="https://csipaus.org/ns/v1.1"'


def xml(text: str) -> bytes:
    """A document: the first element gets the namespaces."""
    return re.sub(r"<(\w+)", rf'<\1 xmlns="{NAMESPACE}" {AUS}', text, count=1).encode()


CONTROL = """
<DERControl replyTo="/rsp" responseRequired="03" href="/derc/1">
 <mRID>0abc</mRID><description>Evening</description><version>2</version>
 <creationTime>1000</creationTime>
 <EventStatus><currentStatus>1</currentStatus><dateTime>1010</dateTime><potentiallySuperseded>false</potentiallySuperseded></EventStatus>
 <interval><duration>900</duration><start>2000</start></interval>
 <randomizeDuration>-60</randomizeDuration><randomizeStart>120</randomizeStart>
 <DERControlBase>%s</DERControlBase><deviceCategory>4000</deviceCategory>
</DERControl>"""
EXPORT = "<csipaus:opModExpLimW><multiplier>3</multiplier><value>5</value></csipaus:opModExpLimW>"


def control_list(*controls: str, head: str = 'all="1" results="1"') -> bytes:
    return xml(f"<DERControlList {head}>{''.join(controls)}</DERControlList>")


def test_a_whole_control() -> None:
    page = resources.controls(control_list(CONTROL % EXPORT))
    assert (page.all, page.results, page.bad) == (1, 1, ())
    control = page.items[0]
    assert (control.mrid, control.version, control.name) == ("0ABC", 2, "Evening")
    assert (control.start_s, control.duration_s, control.created_s) == (2000, 900, 1000)
    assert (control.status, control.status_s) == (1, 1010)
    assert (control.randomize_start_s, control.randomize_duration_s) == (120, -60)
    assert control.category == 0x4000
    assert (control.reply_to, control.response_required) == ("/rsp", 3)
    assert control.modes.powers == (("opModExpLimW", Power(5, 3)),)


def test_what_is_optional_has_the_standards_defaults() -> None:
    bare = """<DERControl><mRID>01</mRID><EventStatus><currentStatus>0</currentStatus></EventStatus>
      <interval><duration>60</duration><start>5</start></interval><DERControlBase/></DERControl>"""
    control = resources.controls(control_list(bare)).items[0]
    assert (control.version, control.randomize_start_s, control.randomize_duration_s, control.category) == (0, 0, 0, None)
    assert (control.reply_to, control.response_required) == (None, 0)
    assert control.modes == Modes()


def test_modes_of_every_kind() -> None:
    base = f"""<opModConnect>true</opModConnect><opModEnergize>0</opModEnergize><opModFixedW>-2500</opModFixedW>
      <opModMaxLimW>6000</opModMaxLimW><opModTargetW><multiplier>-1</multiplier><value>-99</value></opModTargetW>
      <opModVoltVar href="/dc/1"/><rampTms>500</rampTms>{EXPORT}"""
    modes = resources.controls(control_list(CONTROL % base)).items[0].modes
    assert (modes.connect, modes.energize) == (True, False)
    assert dict(modes.percents) == {"opModFixedW": -2500, "opModMaxLimW": 6000}
    assert dict(modes.powers) == {"opModTargetW": Power(-99, -1), "opModExpLimW": Power(5, 3)}
    assert modes.others == ("opModVoltVar",)


WRONG = {
    "no mRID": CONTROL.replace("<mRID>0abc</mRID>", "") % EXPORT,
    "an mRID of letters": CONTROL.replace("0abc", "evening") % EXPORT,
    "no interval": re.sub(r"<interval>.*</interval>", "", CONTROL) % EXPORT,
    "a duration below 0": CONTROL.replace(">900<", ">-1<") % EXPORT,
    "a duration in words": CONTROL.replace(">900<", ">15 minutes<") % EXPORT,
    "a status nobody knows": CONTROL.replace("<currentStatus>1", "<currentStatus>9") % EXPORT,
    "randomised by more than an hour": CONTROL.replace(">120<", ">3601<") % EXPORT,
    "a limit without a value": CONTROL % "<csipaus:opModExpLimW><multiplier>0</multiplier></csipaus:opModExpLimW>",
    "a limit without a multiplier": CONTROL % "<csipaus:opModExpLimW><value>5</value></csipaus:opModExpLimW>",
    "a limit in words": CONTROL % EXPORT.replace(">5<", ">five<"),
    "a limit that is no number": CONTROL % EXPORT.replace(">5<", ">NaN<"),
    "a limit with a point": CONTROL % EXPORT.replace(">5<", ">5.5<"),
    "an endless limit": CONTROL % EXPORT.replace(">5<", f">{'9' * 5000}<"),
    "a multiplier of 99": CONTROL % EXPORT.replace(">3<", ">99<"),
    "a limit given twice": CONTROL % (EXPORT + EXPORT),
    "101 percent": CONTROL % "<opModMaxLimW>10100</opModMaxLimW>",
    "less than no percent": CONTROL % "<opModMaxLimW>-1</opModMaxLimW>",
    "neither true nor false": CONTROL % "<opModConnect>maybe</opModConnect>",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_control_is_set_aside_and_the_good_one_beside_it_counts(text: str) -> None:
    good = CONTROL.replace("0abc", "0DEF") % EXPORT
    page = resources.controls(control_list(text, good, head='all="2" results="2"'))
    assert [control.mrid for control in page.items] == ["0DEF"]
    item, why = page.bad[0]
    assert why
    assert item.mrid in ("", "0ABC")
    assert item.mrid == "" or (item.reply_to, item.response_required) == ("/rsp", 3)


def test_a_list_of_thousands_is_refused() -> None:
    with pytest.raises(XmlError, match="more than 1000"):
        resources.controls(control_list(head='all="4000000000" results="0"'))


def test_an_empty_list() -> None:
    page = resources.controls(control_list(head='all="0" results="0"'))
    assert (page.all, page.items) == (0, ())


def test_pages_become_one() -> None:
    pages = [resources.programs(xml(f'<DERProgramList all="2" results="1" pollRate="60">{PROGRAM % number}</DERProgramList>')) for number in (1, 2)]
    whole = resources.whole(pages)
    assert [program.mrid for program in whole.items] == ["01", "02"]
    assert whole.poll_s == 60.0


PROGRAM = """<DERProgram><mRID>0%d</mRID><description>DNSP</description><ActiveDERControlListLink all="0" href="/a"/>
 <DefaultDERControlLink href="/d"/><DERControlListLink all="0" href="/c"/><primacy>89</primacy></DERProgram>"""


def test_a_program() -> None:
    program = resources.programs(xml(f'<DERProgramList all="1" results="1">{PROGRAM % 1}</DERProgramList>')).items[0]
    assert (program.primacy, program.name, program.default, program.controls, program.active) == (89, "DNSP", "/d", "/c", "/a")


def test_capability_with_and_without_links() -> None:
    full = resources.capability(
        xml('<DeviceCapability pollRate="300"><TimeLink href="/tm"/><EndDeviceListLink all="1" href="/edev"/></DeviceCapability>')
    )
    assert (full.poll_s, full.time, full.end_devices, full.programs, full.mirrors) == (300.0, "/tm", "/edev", None, None)
    assert resources.capability(xml("<DeviceCapability/>")) == resources.Capability(None, None, None, None, None)


def test_time() -> None:
    body = xml(
        '<Time pollRate="900"><currentTime>1700000000</currentTime><dstEndTime>0</dstEndTime><dstOffset>0</dstOffset><dstStartTime>0</dstStartTime>'
        "<quality>4</quality><tzOffset>-28800</tzOffset></Time>"
    )
    assert resources.server_time(body) == resources.ServerTime(1_700_000_000, 4, -28_800, 900.0)
    with pytest.raises(XmlError, match="currentTime"):
        resources.server_time(xml("<Time><quality>7</quality></Time>"))


def test_end_devices() -> None:
    body = xml(
        '<EndDeviceList all="2" results="2" pollRate="86400"><EndDevice href="/edev/1"><lFDI>AB</lFDI><sFDI>19</sFDI></EndDevice>'
        '<EndDevice href="/edev/2"><sFDI>28</sFDI><changedTime>0</changedTime><enabled>false</enabled>'
        '<FunctionSetAssignmentsListLink all="1" href="/f"/><postRate>60</postRate><RegistrationLink href="/r"/></EndDevice></EndDeviceList>'
    )
    page = resources.end_devices(body)
    first, second = page.items
    assert (first.href, first.lfdi, first.sfdi, first.enabled, first.assignments) == ("/edev/1", "AB", 19, True, None)
    assert (second.lfdi, second.enabled, second.assignments, second.registration, second.post_s) == (None, False, "/f", "/r", 60.0)


def test_a_registration() -> None:
    assert resources.registration(xml("<Registration><dateTimeRegistered>1</dateTimeRegistered><pIN>123455</pIN></Registration>")).pin == 123455


@pytest.mark.parametrize("href", ["/a b", "/\u202e", "x" * 2000, "/a\nb"])
def test_an_address_that_is_none_is_refused(href: str) -> None:
    with pytest.raises(XmlError):
        resources.capability(xml(f'<DeviceCapability><TimeLink href="{href.replace(chr(10), "&#10;")}"/></DeviceCapability>'))


READERS = (
    resources.capability,
    resources.server_time,
    resources.registration,
    resources.end_device,
    resources.default,
    resources.post_rate,
    resources.end_devices,
    resources.assignments,
    resources.programs,
    resources.controls,
    resources.ders,
)
NAMES = ["DERControlList", "DERControl", "EventStatus", "interval", "start", "duration", "mRID", "DERControlBase", "opModMaxLimW", "Time", "primacy"]
TREES = st.recursive(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["", "0", "-1", "7", "1e9", "FF", "true", "\u0663"])).map(
        lambda one: f"<{one[0]}>{one[1]}</{one[0]}>"
    ),
    lambda inner: st.tuples(st.sampled_from(NAMES), st.lists(inner, max_size=5)).map(lambda one: f"<{one[0]}>{''.join(one[1])}</{one[0]}>"),
    max_leaves=12,
)


@given(TREES)
def test_no_reader_raises_anything_but_xml_error(text: str) -> None:
    for read in READERS:
        try:
            read(xml(text))
        except XmlError:
            continue


def test_responses_are_read_by_whatever_name_the_server_lists_them() -> None:
    """ResponseList (sep.xsd): its items are of type Response, which others extend; code 1 is optional, as status is."""
    one = "<endDeviceLFDI>aabb</endDeviceLFDI>{}<subject>0f</subject>"
    body = f'<ResponseList xmlns="{NAMESPACE}" all="3" results="3"><Response>{one.format("<status>1</status>")}</Response>'
    body += f"<DERControlResponse>{one.format('<status>2</status>')}</DERControlResponse><Response>{one.format('')}</Response></ResponseList>"
    page = resources.responses(body.encode())
    assert [(one.lfdi, one.subject, one.status) for one in page.items] == [("aabb", "0F", 1), ("aabb", "0F", 2), ("aabb", "0F", None)]
