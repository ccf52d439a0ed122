// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IConsortiumRegistry } from "../interfaces/IConsortiumRegistry.sol";
import { Acts } from "../libraries/Acts.sol";
import { Ids } from "../libraries/Ids.sol";
import { KeySlot, KeySlots } from "../libraries/KeySlot.sol";
import { RegistryActs } from "../libraries/RegistryActs.sol";
import { RegistryBase } from "./RegistryBase.sol";

/// @title Registry of organisations and their keys
contract ConsortiumRegistry is RegistryBase {
    using RegistryActs for *;

    uint40 private constant SUSPENSION = 30 days;
    uint40 private constant COOLING_OFF = 30 days;

    modifier onlyGovernance() {
        if (msg.sender != governance) revert RegistryNotGovernance(msg.sender);
        _;
    }

    constructor(
        address governance_,
        uint40 rotationDelay_,
        NewOrganisation[] memory genesis
    )
        RegistryBase(governance_, rotationDelay_, genesis)
    { }

    /// @inheritdoc IConsortiumRegistry
    function addOrganisation(NewOrganisation calldata entry) external onlyGovernance returns (uint32) {
        return _add(entry);
    }

    /// @inheritdoc IConsortiumRegistry
    function removeOrganisation(uint32 index) external onlyGovernance {
        Organisation storage org = _requireActive(index);
        bool oldVote = org.vote;
        if (oldVote) _takeVote(org);
        org.status = REMOVED;
        emit OrganisationRemoved(_nextSequence(), index, oldVote);
    }

    /// @inheritdoc IConsortiumRegistry
    function setRoles(uint32 index, uint32 roles) external onlyGovernance {
        Organisation storage org = _requireActive(index);
        _requireRoles(roles);
        uint32 oldRoles = org.roles;
        if (oldRoles == roles) revert RegistryUnchanged(index);
        bool vote = org.vote;
        if (vote) _takeVote(org);
        org.roles = roles;
        if (vote) _giveVote(org);
        emit RolesSet(_nextSequence(), index, oldRoles, roles);
    }

    /// @inheritdoc IConsortiumRegistry
    function setVote(uint32 index, bool vote) external onlyGovernance {
        Organisation storage org = _requireActive(index);
        if (org.vote == vote) revert RegistryUnchanged(index);
        if (vote) _giveVote(org);
        else _takeVote(org);
        emit VoteSet(_nextSequence(), index, !vote, vote);
    }

    /// @inheritdoc IConsortiumRegistry
    function setInterestGroup(uint32 index, uint32 interestGroup) external onlyGovernance {
        Organisation storage org = _requireActive(index);
        uint32 oldGroup = org.interestGroup;
        if (interestGroup == 0) revert RegistryInterestGroupInvalid(0);
        if (oldGroup == interestGroup) revert RegistryUnchanged(index);
        bool vote = org.vote;
        if (vote) _takeVote(org);
        org.interestGroup = interestGroup;
        if (vote) _giveVote(org);
        emit InterestGroupSet(_nextSequence(), index, oldGroup, interestGroup);
    }

    /// @inheritdoc IConsortiumRegistry
    function assignKey(uint32 index, NewKey calldata entry) external onlyGovernance {
        _requireActive(index);
        _assign(index, entry);
    }

    /// @inheritdoc IConsortiumRegistry
    function retireKey(address key) external onlyGovernance {
        KeySlot slot = _keys[key];
        if (slot.isEmpty()) revert RegistryKeyUnknown(key);
        if (slot.state() == KeySlots.ANNOUNCED) _cancel(key, slot);
        else _revoke(key, slot);
    }

    /// @inheritdoc IConsortiumRegistry
    function confirmSuspension(uint32 target) external onlyGovernance {
        Organisation storage org = _requireActive(target);
        uint40 oldUntil = org.suspendedUntil;
        if (oldUntil == 0) revert RegistryNotSuspended(target);
        if (oldUntil == UNTIL_LIFTED) revert RegistryUnchanged(target);
        org.suspendedUntil = UNTIL_LIFTED;
        org.suspendableFrom = UNTIL_LIFTED;
        emit SuspensionConfirmed(_nextSequence(), target, oldUntil);
    }

    /// @inheritdoc IConsortiumRegistry
    function liftSuspension(uint32 target) external onlyGovernance {
        Organisation storage org = _requireActive(target);
        uint40 oldUntil = org.suspendedUntil;
        if (oldUntil == 0) revert RegistryNotSuspended(target);
        org.suspendedUntil = 0;
        org.suspendableFrom = 0;
        emit SuspensionLifted(_nextSequence(), target, oldUntil);
    }

    /// @inheritdoc IConsortiumRegistry
    function announceKey(AnnounceKey calldata request, bytes calldata signature) external {
        _requireUnsuspended(request.organisation, _organisations[request.organisation]);
        _act(request.organisation, request.nonce, request.validUntil, request.structHash(), signature);
        _requireFreeKey(request.key, request.purpose, request.notBefore, request.notAfter);
        _keys[request.key] = KeySlots.pack(
            request.organisation, request.purpose, request.notBefore, request.notAfter, KeySlots.ANNOUNCED
        );
        uint40 from = _now() + rotationDelay;
        _acceptableFrom[request.key] = from;
        emit KeyAnnounced(
            _nextSequence(),
            request.organisation,
            request.key,
            request.purpose,
            request.notBefore,
            request.notAfter,
            from
        );
    }

    /// @inheritdoc IConsortiumRegistry
    function acceptKey(AcceptKey calldata request, bytes calldata signature) external {
        Acts.requireInTime(request.validUntil);
        _requireUnsuspended(request.organisation, _requireActive(request.organisation));
        KeySlot slot = _requireAnnounced(request.organisation, request.key);
        uint40 from = _acceptableFrom[request.key];
        if (_now() < from) revert RegistryKeyTooEarly(request.key, from, _now());
        address signer = Acts.signer(_hashTypedDataV4(request.structHash()), signature);
        if (signer != request.key) revert RegistrySignerMismatch(signer, request.key);
        uint40 notBefore = slot.notBefore() > _now() ? slot.notBefore() : _now();
        _requireValidity(notBefore, slot.notAfter());
        _keys[request.key] = slot.activeFrom(notBefore);
        emit KeyAccepted(_nextSequence(), request.organisation, request.key, notBefore);
    }

    /// @inheritdoc IConsortiumRegistry
    function cancelKey(CancelKey calldata request, bytes calldata signature) external {
        _act(request.organisation, request.nonce, request.validUntil, request.structHash(), signature);
        _cancel(request.key, _requireAnnounced(request.organisation, request.key));
    }

    /// @inheritdoc IConsortiumRegistry
    function revokeKey(RevokeKey calldata request, bytes calldata signature) external {
        address signer =
            _act(request.organisation, request.nonce, request.validUntil, request.structHash(), signature);
        if (signer == request.key) revert RegistryKeyCannotRevokeItself(signer);
        _revoke(request.key, _requireHeld(request.organisation, request.key));
    }

    /// @inheritdoc IConsortiumRegistry
    function setHpkeKey(SetHpkeKey calldata request, bytes calldata signature) external {
        _requireUnsuspended(request.organisation, _organisations[request.organisation]);
        _act(request.organisation, request.nonce, request.validUntil, request.structHash(), signature);
        if (request.publicKey == 0) revert RegistryHpkeKeyZero(request.organisation);
        _requireValidity(request.notBefore, request.notAfter);
        Organisation storage org = _organisations[request.organisation];
        bytes32 oldKey = org.hpkeKey;
        org.hpkeKey = request.publicKey;
        org.hpkeNotBefore = request.notBefore;
        org.hpkeNotAfter = request.notAfter;
        emit HpkeKeySet(
            _nextSequence(),
            request.organisation,
            oldKey,
            request.publicKey,
            request.notBefore,
            request.notAfter
        );
    }

    /// @inheritdoc IConsortiumRegistry
    function suspend(Suspend calldata request, bytes calldata signature) external {
        _requireUnsuspended(request.organisation, _organisations[request.organisation]);
        _act(request.organisation, request.nonce, request.validUntil, request.structHash(), signature);
        if (_organisations[request.organisation].roles & Ids.ROLE_REGULATOR == 0) {
            revert RegistryNotRegulator(request.organisation);
        }
        if (request.target == request.organisation) revert RegistrySuspensionOfItself(request.target);
        Organisation storage org = _requireActive(request.target);
        if (_now() < org.suspendableFrom) {
            revert RegistrySuspensionTooEarly(request.target, org.suspendableFrom, _now());
        }
        uint40 until = _now() + SUSPENSION;
        org.suspendedUntil = until;
        org.suspendableFrom = until + COOLING_OFF;
        emit Suspended(_nextSequence(), request.target, request.organisation, request.reason, until);
    }

    /// Checks an act by one of the organisation's act keys and spends its nonce.
    function _act(
        uint32 index,
        uint64 nonce,
        uint40 validUntil,
        bytes32 structHash,
        bytes calldata signature
    )
        private
        returns (address signer)
    {
        Acts.requireInTime(validUntil);
        signer = Acts.signer(_hashTypedDataV4(structHash), signature);
        requireSigner(signer, index, Ids.PURPOSE_ACT);
        Organisation storage org = _organisations[index];
        if (org.nonce != nonce) revert RegistryNonceMismatch(index, org.nonce, nonce);
        org.nonce = nonce + 1;
    }

    function _cancel(address key, KeySlot slot) private {
        _keys[key] = slot.withState(KeySlots.CANCELLED);
        emit KeyCancelled(_nextSequence(), slot.organisation(), key);
    }

    function _revoke(address key, KeySlot slot) private {
        if (slot.state() != KeySlots.ACTIVE) revert RegistryKeyState(key, KeySlots.ACTIVE, slot.state());
        if (slot.revokedAt() != 0) revert RegistryKeyRevoked(key, slot.revokedAt(), _now());
        _keys[key] = slot.revoked(_now());
        emit KeyRevoked(_nextSequence(), slot.organisation(), key, _now());
    }

    function _requireHeld(uint32 index, address key) private view returns (KeySlot slot) {
        slot = _keys[key];
        if (slot.organisation() != index) revert RegistryKeyOrganisation(key, index, slot.organisation());
    }

    function _requireAnnounced(uint32 index, address key) private view returns (KeySlot slot) {
        slot = _requireHeld(index, key);
        if (slot.state() != KeySlots.ANNOUNCED) {
            revert RegistryKeyState(key, KeySlots.ANNOUNCED, slot.state());
        }
    }
}
